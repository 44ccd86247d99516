"""A recording and a live signal as somebody plays them: beats on Kafka at the times of their R peaks, and an alarm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import astuple, replace
from datetime import date, datetime, timedelta

import edfio
import numpy as np
import pytest

from monitor.beats.beat import FLOAT32_BYTES
from monitor.beats.window import R_CENTRED
from monitor.model import artifact
from monitor.model.manifest import WindowSpec
from tests import models
from tests.conftest import CLIENTS
from tests.e2e.daemon import TOPICS, Daemon, clean_environment, read_all
from tests.recordings import mitdb

LIMIT_SECONDS = 240
SECONDS, LIVE_SECONDS = 30, 8
TWO_SAMPLES = 2 / mitdb.HZ

pytestmark = [pytest.mark.usefixtures("kafka"), pytest.mark.kafka]


@pytest.fixture(params=CLIENTS)
def command(request, make_settings, tmp_path):
    """Run `ecg-monitor …` with one of the two Kafka clients, on topics of its own."""
    settings = make_settings(kafka_client=request.param)
    names = ("bootstrap_servers", "kafka_client", *TOPICS)
    environment = clean_environment() | {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in names}

    def run(*arguments, data=b""):
        done = subprocess.run(
            [sys.executable, "-m", "monitor", *map(str, arguments)],
            env=environment, cwd=tmp_path, input=data, capture_output=True, timeout=LIMIT_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    run.settings = settings
    return run


@pytest.fixture
def model(tmp_path):
    """A model of beats around R for which nearly every beat is abnormal."""
    whole = models.model()
    window, threshold = (
        WindowSpec(140, None, "a ward", *astuple(R_CENTRED)),
        replace(whole.manifest.threshold, value=1e-6),
    )
    path = tmp_path / "model.safetensors"
    artifact.save(path, replace(whole, manifest=replace(whole.manifest, window=window, threshold=threshold)))
    return path


def annotated_seconds(record, seconds):
    """Of the beats that can be cut whole."""
    found = record.beats / mitdb.HZ
    return found[(found > 0.5) & (found < seconds - 0.5)]


def offsets(times, expected):
    """Seconds from each expected beat to the published one that is nearest."""
    return np.array([times[np.abs(times - one).argmin()] - one for one in expected])


def test_an_edf_file_becomes_beats_at_the_times_of_its_r_peaks_and_an_alarm(command, model, tmp_path):
    record, start = mitdb.read("208"), datetime.now().replace(microsecond=0) - timedelta(minutes=10)  # noqa: DTZ005 - EDF
    signal = record.signal[: int(SECONDS * mitdb.HZ)]
    lead = edfio.EdfSignal(signal, mitdb.HZ, label="ECG II", physical_dimension="mV", physical_range=(-5.12, 5.12))
    day = edfio.Recording(startdate=date(start.year, start.month, start.day))
    edfio.Edf([lead], recording=day, starttime=start.time(), data_record_duration=1).write(tmp_path / "rec.edf")
    with Daemon(command.settings, model, tmp_path / "log") as daemon:
        said = command("publish", "rec.edf", "--lead", "II", "--source", "bed-7", "--speed", "10")
        found = read_all(command.settings, command.settings.beats_topic)
        daemon.wait_until(lambda: daemon.metric("beats_total") == len(found), "judged")
        alerts = command("alerts", "--from-beginning", "--source", "bed-7", "--count", "1")
        assert daemon.terminate() == 0
    assert said == f"{len(found):,} beats of 1 source published to {command.settings.beats_topic}\n"
    assert {record.key for record in found} == {b"bed-7"}
    assert {len(record.value) for record in found} == {FLOAT32_BYTES}
    assert {name for one in found for name, _ in one.headers} == {"noise"}
    times = np.array([one.timestamp for one in found]) / 1000 - start.timestamp()
    expected = annotated_seconds(record, SECONDS)
    assert len(found) - len(expected) in {0, 1, 2}  # the first and the last one may be cut as well
    assert np.abs(offsets(times, expected)).max() < 0.15
    assert abs(np.median(offsets(times, expected))) < TWO_SAMPLES
    assert "OPENED" in alerts
    assert "model-does-not-fit  bed-7" in alerts


def test_a_live_signal_becomes_beats_whose_times_are_as_far_apart_as_the_r_peaks(command):
    record = mitdb.read("100")
    data = np.rint(200 * record.signal[: int(LIVE_SECONDS * mitdb.HZ)]).astype("<i2").tobytes()
    options = ("--hz", "360", "--unit", "adc/200", "--input", "int16", "--source", "bed-7")
    before = datetime.now().timestamp()  # noqa: DTZ005 - a number
    said = command("publish", "-", *options, data=data)
    found = sorted(read_all(command.settings, command.settings.beats_topic), key=lambda one: one.timestamp)
    assert said == f"{len(found):,} beats of bed-7 published to {command.settings.beats_topic}\n"
    assert {(one.key, len(one.value)) for one in found} == {(b"bed-7", FLOAT32_BYTES)}
    times = np.array([one.timestamp for one in found]) / 1000
    assert abs(times[0] - before) < LIMIT_SECONDS
    apart = np.diff(annotated_seconds(record, LIVE_SECONDS))
    closest = min(
        np.abs(np.diff(times[place : place + len(apart) + 1]) - apart).max() for place in range(len(times) - len(apart))
    )
    assert closest < 2 * TWO_SAMPLES
