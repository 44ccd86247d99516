"""What the loop tells the metrics, as a scrape sees it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from monitor.alarms.judged import JudgedBeats, Step
from monitor.alarms.rule import QUIET, Event
from monitor.beats.parse import parse
from monitor.records.record import Checkpoint
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import STAGES, Metrics
from monitor.telemetry.recorder import Recorder
from tests.fakes import records

BEAT = np.linspace(-1, 1, 140, dtype="<f4").tobytes()


class Told:
    """An account, and what a scrape says of it."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.recorder = Recorder(self.metrics, Health(), "ecg.beats")

    def __call__(self, name, **labels):
        return self.registry.get_sample_value(f"ecg_monitor_{name}", labels)

    def poll(self, lag, batch=None, *, revoked=(), now=100.0):
        self.recorder.begins()
        self.recorder.polled(replace(batch or records([]), revoked=frozenset(revoked)), lag, now)

    def deliver(self, batch, *, events=(), p_value=None, now=100.0):
        beats, _ = parse(batch)
        score = np.full(len(beats), 0.5, np.float32)
        held = np.full(len(beats), 0.25) if p_value is None else p_value, np.full(len(beats), 1.0), score > 1
        judged = JudgedBeats(beats, score, *held, ("",), np.zeros(len(beats), np.int8))
        self.recorder.delivered(Step(Checkpoint(), judged, list(events), (), 0, self.recorder.began), now)


@pytest.fixture
def told():
    return Told()


def test_the_series_of_a_partition_that_was_taken_away_are_gone(told):
    told.poll({0: 1, 1: 1})
    told.deliver(records([BEAT], partition=1))
    told.recorder.behind({0: 1, 1: 1}, {1}, 100.0)
    assert told("lag_records", partition="1") == told("partition_beats_total", partition="1") == 1
    told.poll({0: 1})
    shown = {
        sample.labels["partition"]
        for family in told.registry.collect()
        for sample in family.samples
        if "partition" in sample.labels
    }
    assert shown == {"0"}
    assert told("assigned_partitions") == 1


def test_a_partition_that_came_and_went_between_two_looks_leaves_no_series(told):
    told.poll({0: 0})
    told.deliver(records([BEAT], partition=1))
    told.poll({0: 0}, revoked={1})
    assert told("partition_beats_total", partition="1") is None


def test_a_partition_that_is_read_anew_keeps_its_series(told):
    told.poll({0: 0})
    told.deliver(records([BEAT]))
    told.poll({0: 0}, revoked={0})
    assert told("partition_beats_total", partition="0") == 1


def test_progress_is_told_of_a_partition_that_moves_on_or_is_empty_and_of_none_that_stands_still(told):
    lag = {0: 5, 1: 0, 2: 5}
    told.poll(lag, now=100.0)
    told.recorder.behind(lag, {0}, 160.0)
    progress = {n: told("partition_last_progress_timestamp_seconds", partition=str(n)) for n in lag}
    assert progress == {0: 160.0, 1: 160.0, 2: 100.0}


def test_each_stage_of_a_step_is_timed_once_and_they_add_up_to_the_step(told):
    told.poll({})
    for stage in STAGES[:-1]:
        told.recorder.ends(stage)
    told.deliver(records([BEAT]))
    assert [told("stage_seconds_count", stage=stage) for stage in STAGES] == [1] * len(STAGES)
    parts = sum(told("stage_seconds_sum", stage=stage) for stage in STAGES)
    assert told("step_seconds_sum") == pytest.approx(parts)
    assert told("poll_seconds_count") == 1


def test_waiting_for_records_is_no_part_of_the_step(told):
    told.recorder.begins()
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    told.recorder.polled(records([]), {}, 100.0)
    told.deliver(records([BEAT]))
    assert told("poll_seconds_sum") >= 0.05
    assert told("step_seconds_sum") < 0.05


def test_an_alert_from_before_its_beat_counts_as_skewed_and_never_below_zero(told):
    batch = records([BEAT], times=[200_000])
    told.deliver(batch, events=[Event("opened", "physiological", b"source", 0, QUIET)], now=100.0)
    assert told("alert_latency_seconds_sum") == 0
    assert (told("alert_latency_seconds_count"), told("clock_skewed_alerts_total")) == (1, 1)


def test_records_are_noted_when_they_come_in_and_not_when_none_do(told):
    told.poll({}, records([BEAT]), now=100.0)
    told.poll({}, now=200.0)
    assert told("last_beats_timestamp_seconds") == 100


def test_p_values_fall_into_bands(told):
    told.deliver(records([BEAT] * 3), p_value=np.array([0.005, 0.01, 0.4]))
    assert told("p_value_bucket", le="0.01") == 2
    assert told("p_value_bucket", le="0.5") == 3
