"""`ecg-monitor backtest --from --to`: a period of the beats topic judged again, and nothing written."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import astuple, replace

import orjson
import pytest

from monitor.beats.beat import encode
from monitor.beats.window import R_CENTRED
from monitor.broker import PeriodReader, Publisher
from monitor.model import artifact
from monitor.model.manifest import WindowSpec
from monitor.records.record import Message, partition_slices, rfc3339
from tests import models
from tests.command_line import invoke, leave_settings_behind
from tests.conftest import CLIENTS
from tests.e2e.daemon import TOPICS, read_all
from tests.profiles.beats_of_sources import source

PART_MS = 600_000
START_MS = int(1000 * time.time()) - 4 * PART_MS  # the topics of a test keep records for an hour
KINDS = "N" * 200 + "VVVVV" + "N" * 20
PERIOD = ("--from", rfc3339(START_MS), "--to", rfc3339(START_MS + PART_MS))

pytestmark = pytest.mark.usefixtures("kafka")


@pytest.fixture(params=CLIENTS)
def settings(request, make_settings, tmp_path):
    """Settings of topics with two sources' beats, of ten minutes and of the next ten."""
    whole = models.model()
    window = WindowSpec(140, None, "a ward", *astuple(R_CENTRED))
    path = tmp_path / "model.safetensors"
    artifact.save(path, replace(whole, manifest=replace(whole.manifest, window=window)))
    made = make_settings(kafka_client=request.param, model=path)
    with closing(Publisher(made)) as publisher:
        for part in (0, 1):
            for number, name in enumerate((b"bed 1", b"bed 2")):
                samples, times = source(KINDS, seed=number)
                for one, time_ms in zip(samples, times.tolist(), strict=True):
                    message = Message(made.beats_topic, name, encode(one, "float32"))
                    publisher.send(message, START_MS + part * PART_MS + time_ms)
        publisher.flush()
    return made


@pytest.fixture
def command(monkeypatch, capsys, tmp_path, settings):
    """Run `ecg-monitor backtest …` with just these settings; gives exit code, output and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)
    for name in ("bootstrap_servers", "kafka_client", "group_id", "model", *TOPICS):
        monkeypatch.setenv(f"MONITOR_{name.upper()}", str(getattr(settings, name)))

    def run(*arguments):
        return invoke(monkeypatch, capsys, "backtest", *arguments)

    return run


@pytest.mark.parametrize(
    ("first", "last", "beats"),
    [(0, PART_MS, 450), (PART_MS, 2 * PART_MS, 450), (0, 2 * PART_MS, 900), (2 * PART_MS, 3 * PART_MS, 0)],
)
def test_the_records_of_a_period_are_read_and_no_others(settings, first, last, beats):
    with closing(PeriodReader(settings, settings.beats_topic, START_MS + first, START_MS + last)) as reader:
        times = [time for records in reader.steps() for time in records.time.tolist()]
    assert len(times) == beats
    assert all(START_MS + first <= time < START_MS + last for time in times)


def test_partitions_are_read_side_by_side_each_in_the_order_of_its_offsets(settings):
    period = settings, settings.beats_topic, START_MS, START_MS + PART_MS
    with closing(PeriodReader(*period)) as reader:
        firsts, steps = reader.firsts, [records for records in reader.steps() if len(records)]
    read = {}
    for records in steps:
        for partition, rows in partition_slices(records.partition):
            read.setdefault(partition, []).append(records.offset[rows].tolist())
        assert len(partition_slices(records.partition)) == len(set(records.partition.tolist()))
    for partition, parts in read.items():
        offsets = [offset for part in parts for offset in part]
        assert offsets == list(range(firsts[partition], firsts[partition] + len(offsets)))


def test_the_alarms_of_a_period_are_counted_and_nothing_is_written(command, settings):
    code, out, _ = command(*PERIOD, "--profile-seconds", "120", "--json")
    found = orjson.loads(out)
    assert code == 0
    assert (found["beats"], found["sources"], found["learned"]["sources"]) == (450, 2, 2)
    opened = [one for one in found["episodes"] if one["opened_at"] > found["learned"]["last_at"]]
    assert {(one["source"], one["kind"]) for one in opened} == {("bed 1", "physiological"), ("bed 2", "physiological")}
    assert found["from_time"] == rfc3339(START_MS)
    for topic in ("alerts_topic", "dead_letters_topic", "state_topic"):
        assert read_all(settings, getattr(settings, topic)) == []


def test_the_table_has_the_sources_with_most_alarms(command):
    code, out, err = command(*PERIOD, "--profile-seconds", "120", "--source", "bed 1")
    assert (code, err) == (0, "")
    assert "225 beats of 1 source" in out
    assert "no beat that was judged is annotated" in out
    assert [line.split()[:2] for line in out.splitlines()[-1:]] == [["bed", "1"]]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((*PERIOD, "100"), "RECORDING is of recordings"),
        (("--from", PERIOD[1]), "belong together"),
        (("--from", PERIOD[3], "--to", PERIOD[1]), "--to is the later time"),
        ((*PERIOD, "--lead", "II"), "--lead is of recordings"),
        (("--from", "yesterday", "--to", PERIOD[1]), "is not a time"),
        ((), "name a RECORDING, or --from and --to"),
        ((*PERIOD, "--model", "nothing.safetensors"), "nothing.safetensors"),
    ],
)
def test_what_does_not_go_together_is_refused(command, arguments, why):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert why in err
