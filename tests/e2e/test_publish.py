"""`ecg-monitor publish` of recordings and of a live signal, on a broker."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from monitor.demo.embedded_broker import stop
from tests.e2e.daemon import TOPICS, clean_environment, read_all
from tests.recordings.files import flip, write_flac
from tests.recordings.test_segmenter import HZ, lead

LIMIT_SECONDS = 240


@pytest.fixture
def publish(make_settings, tmp_path):
    """Start `ecg-monitor publish …` on topics of its own."""
    settings = make_settings()
    names = ("bootstrap_servers", "kafka_client", *TOPICS)
    environment = clean_environment() | {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in names}

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "monitor", "publish", *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    start.settings = settings
    return start


def ended(process, data=b""):
    out, err = process.communicate(data, timeout=LIMIT_SECONDS)
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


def test_recordings_are_played_as_beds_and_a_signal_that_breaks_off_is_reported(publish, tmp_path):
    signal, peaks = lead(20.0)
    np.savetxt(tmp_path / "lead.csv", signal, fmt="%.4f")
    options = ("--hz", HZ, "--unit", "mV")
    played = ("lead.csv", "lead.csv", *options, "--source", "bed-1", "--source", "bed-2")
    code, out, err = ended(publish(*played))
    assert (code, out) == (0, f"{2 * len(peaks):,} beats of 2 sources published to {publish.settings.beats_topic}\n")
    assert f"bed-1: 00:00:20 of 00:00:20, {len(peaks):,} beats" in err.splitlines()
    data = np.rint(1000 * signal).astype("<i2").tobytes()
    live = ("-", "--hz", HZ, "--unit", "uV", "--input", "int16", "--source", "bed-3")
    code, _, err = ended(publish(*live), data[:-1])
    assert code == 2
    assert "ended in the middle of a sample" in err
    assert f"{len(peaks)} beats, {len(peaks)} published" in err
    found = read_all(publish.settings, publish.settings.beats_topic)
    assert sorted(record.key for record in found) == sorted([b"bed-1", b"bed-2", b"bed-3"] * len(peaks))


def test_a_recording_that_is_damaged_in_the_middle_is_reported_with_what_was_published(publish, tmp_path):
    flip(write_flac(tmp_path, lead(180.0)[0]).with_suffix(".dat"), 0.5)
    code, out, err = ended(publish("100", "--source", "bed-7"))
    found = read_all(publish.settings, publish.settings.beats_topic)
    assert (code, out, len(found) > 50) == (2, "", True)
    seconds = (found[-1].timestamp - found[0].timestamp) / 1000
    assert "100.dat: lead 'II' from 60.0 s to 120.0 s is damaged" in err
    assert re.search(rf"\(published before: bed-7: 00:0[01]:\d\d of 00:03:00, {len(found)} beats\)\n$", err)
    assert 50 < seconds < 60


def test_recordings_without_any_beat_are_an_error(publish, tmp_path):
    (tmp_path / "flat.csv").write_text("II (mV)\n" + "0\n" * 5000)
    code, out, err = ended(publish("flat.csv", "--hz", HZ, "--source", "bed-7"))
    assert (code, out.startswith("0 beats of 1 source published")) == (2, True)
    assert "bed-7: 00:00:20 of 00:00:20, 0 beats: flat.csv: look at the lead (--lead)" in err
    assert err.endswith("error: no beats were found, so nothing was published\n")


def test_beats_are_published_while_the_signal_goes_on_and_sigterm_ends_it(publish):
    signal, _ = lead(20.0)
    process = publish("-", "--hz", HZ, "--unit", "mV", "--input", "float32", "--source", "bed-7")
    try:
        process.stdin.write(signal.astype("<f4").tobytes())
        process.stdin.flush()
        while not read_all(publish.settings, publish.settings.beats_topic):
            assert process.poll() is None
        process.terminate()
        code, out, _ = ended(process)
    finally:
        stop(process, 5)
    assert code == 0
    assert f"{len(read_all(publish.settings, publish.settings.beats_topic)):,} beats of bed-7 published" in out
