"""What the recorder makes of the facts it is given, as a scrape sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from monitor.alarms.alarm_event import AlarmEvent
from monitor.alarms.judged import JudgedBeats
from monitor.alarms.rule import QUIET, BeatFlags, Event
from monitor.beats.parse import parse
from monitor.settings import Settings
from monitor.telemetry.facts import STAGES, StepFacts
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import Metrics
from monitor.telemetry.recorder import Recorder
from tests.clocks import ManualClock
from tests.fakes import records

BEAT = np.linspace(-1, 1, 140, dtype="<f4").tobytes()


class Scrape:
    """A recorder, and what a scrape says after it was used."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.time = ManualClock(wall=100.0)
        self.health = Health(self.time.monotonic)
        self.recorder = Recorder(Metrics(self.registry), self.health, Settings(), self.time.clock)

    def __call__(self, name, **labels):
        return self.registry.get_sample_value(f"ecg_monitor_{name}", labels)

    def poll(self, lag, batch=None, *, revoked=(), seconds=0.0):
        self.recorder.records_read(replace(batch or records([]), revoked=frozenset(revoked)), lag, seconds)

    def progress(self, lag, progressed):
        self.recorder.progress_made(lag, progressed, {}, joined=True)

    def deliver(self, batch, *, events=(), p_value=None, seconds=None, took=0.0):
        beats, _ = parse(batch)
        score = np.full(len(beats), 0.5, np.float32)
        columns = np.full(len(beats), 0.25) if p_value is None else p_value, np.full(len(beats), 1.0), score > 1
        personal = np.full(len(beats), np.nan, np.float32), np.zeros(len(beats), np.bool_)
        judged = JudgedBeats(beats, score, *columns, ("",), np.zeros(len(beats), np.int8), *personal)
        started = self.time.monotonic
        self.time.advance(sum((seconds or {}).values()) + took)
        flags = BeatFlags.of_population(judged.abnormal, judged.cause_code)
        told = [AlarmEvent.of(event, beats) for event in events]
        facts = StepFacts(judged, flags, told, (), (), 0, 0, started, seconds or {})
        self.recorder.step_delivered(facts, took)


@pytest.fixture
def scrape():
    return Scrape()


def test_the_series_of_a_revoked_partition_are_removed(scrape):
    scrape.poll({0: 1, 1: 1})
    scrape.deliver(records([BEAT], partition=1))
    scrape.progress({0: 1, 1: 1}, {1})
    assert scrape("lag_records", partition="1") == scrape("partition_beats_total", partition="1") == 1
    scrape.poll({0: 1})
    shown = {
        sample.labels["partition"]
        for family in scrape.registry.collect()
        for sample in family.samples
        if "partition" in sample.labels
    }
    assert shown == {"0"}
    assert scrape("assigned_partitions") == 1


def test_a_partition_that_was_assigned_and_revoked_between_two_updates_leaves_no_series(scrape):
    scrape.poll({0: 0})
    scrape.deliver(records([BEAT], partition=1))
    scrape.poll({0: 0}, revoked={1})
    assert scrape("partition_beats_total", partition="1") is None


def test_a_reassigned_partition_keeps_its_series(scrape):
    scrape.poll({0: 0})
    scrape.deliver(records([BEAT]))
    scrape.poll({0: 0}, revoked={0})
    assert scrape("partition_beats_total", partition="0") == 1


def test_progress_is_recorded_for_a_partition_that_moves_on_or_is_empty_and_not_for_a_stuck_one(scrape):
    lag = {0: 5, 1: 0, 2: 5}
    scrape.poll(lag)
    scrape.time.advance(60)
    scrape.progress(lag, {0})
    progress = {n: scrape("partition_last_progress_timestamp_seconds", partition=str(n)) for n in lag}
    assert progress == {0: 160.0, 1: 160.0, 2: 100.0}


def test_lag_grows_while_the_broker_takes_nothing(scrape):
    scrape.poll({0: 5})
    scrape.time.advance(90)
    scrape.recorder.broker_failed("it takes no alert", {0: 7})
    assert (scrape("lag_records", partition="0"), scrape("lag_seconds", partition="0")) == (7, 90)


def test_a_record_without_a_time_has_no_age_and_no_latency(scrape):
    scrape.poll({0: 5})
    scrape.deliver(records([BEAT], times=[-1]), events=[Event("opened", "physiological", b"source", 0, QUIET)])
    scrape.progress({0: 5}, {0})
    assert scrape("lag_seconds", partition="0") == 0
    assert scrape("alert_latency_seconds_count") == 0


def test_records_held_back_are_shown_for_the_partitions_that_are_read_here(scrape):
    scrape.poll({0: 0})
    scrape.recorder.records_held_back({0: 50, 1: 3})
    assert scrape("held_back_records", partition="0") == 50
    assert scrape("held_back_records", partition="1") is None
    scrape.poll({}, revoked={0})
    assert scrape("held_back_records", partition="0") is None


def test_a_missing_right_is_logged_once_and_makes_the_monitor_not_ready(scrape, caplog):
    scrape.recorder.loop_started()
    scrape.progress({}, ())
    assert scrape("ready") == 1
    for _ in range(2):
        scrape.recorder.obstacle_seen("this user has no right Write on ecg.alerts")
    assert scrape("ready") == 0
    assert caplog.text.count("no right Write on ecg.alerts") == 1
    scrape.recorder.obstacle_seen("")
    assert scrape("ready") == 1


def test_each_stage_of_a_step_is_timed_once_and_they_add_up_to_the_step(scrape):
    scrape.deliver(records([BEAT]), seconds=dict.fromkeys(STAGES[:-1], 0.25), took=0.5)
    assert [scrape("stage_seconds_count", stage=stage) for stage in STAGES] == [1] * len(STAGES)
    parts = sum(scrape("stage_seconds_sum", stage=stage) for stage in STAGES)
    assert scrape("stage_seconds_sum", stage="deliver") == 0.5
    assert scrape("step_seconds_sum") == pytest.approx(parts)


def test_an_alert_from_before_its_beat_counts_as_skewed_and_never_below_zero(scrape):
    batch = records([BEAT], times=[200_000])
    scrape.deliver(batch, events=[Event("opened", "physiological", b"source", 0, QUIET)])
    assert scrape("alert_latency_seconds_sum") == 0
    assert (scrape("alert_latency_seconds_count"), scrape("clock_skewed_alerts_total")) == (1, 1)


def test_the_time_of_the_last_records_changes_only_when_records_arrive(scrape):
    scrape.poll({}, records([BEAT]))
    scrape.time.advance(100)
    scrape.poll({})
    assert scrape("last_beats_timestamp_seconds") == 100


def test_p_values_fall_into_bands(scrape):
    scrape.deliver(records([BEAT] * 3), p_value=np.array([0.005, 0.01, 0.4]))
    assert scrape("p_value_bucket", le="0.01") == 2
    assert scrape("p_value_bucket", le="0.5") == 3
