"""The loop without Kafka: what goes in, what comes out, in which order, and what waits."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from monitor.alarms.episode_state import decode
from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import EpisodeRule
from monitor.alarms.threshold import ActiveThreshold, Thresholds
from monitor.broker.blocks import RecordBlock, join
from monitor.errors import BrokerError
from monitor.model.scorer import CAUSES, Explanation, Scores
from monitor.pipeline.loop import Loop
from monitor.pipeline.step import GONE_SECONDS, Components
from monitor.records.column import Column
from monitor.records.record import Assigned, ControlRecord
from monitor.records.stream_time import StreamTime
from monitor.settings import Settings
from monitor.telemetry.facts import STAGES
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import Metrics
from monitor.telemetry.recorder import Recorder
from tests.clocks import ManualClock
from tests.fakes import FakeBroker, records
from tests.messages import CheckedBroker

if TYPE_CHECKING:
    from monitor.records.record import Message

NORMAL = np.linspace(-1, 1, 140, dtype="<f4").tobytes()
ABNORMAL = np.linspace(-3, 3, 140, dtype="<f4").tobytes()
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FLAT = np.zeros(140, "<f4").tobytes()
RULE = EpisodeRule(3, 5, 5, 60_000)


class AmplitudeScorer:
    """Scores a beat by its largest sample: a model whose right answer is provable."""

    device = "cpu"

    def score(self, samples):
        cause = (np.ptp(samples, axis=1) == 0).astype(np.int8) if len(samples) else np.zeros(0, np.int8)
        return Scores(np.where(cause, np.nan, samples.max(axis=1, initial=0)).astype(np.float32), cause)

    def explain(self, samples):
        return Explanation(samples, samples / 2)


class Bench:
    """A loop with a stopped clock on a fake broker that checks messages. `behind`: more records are there."""

    def __init__(self, *log, behind=False, broker=None, personal=None, episode_rule=RULE, **overrides):
        self.broker = broker or FakeBroker(log)
        self.broker.is_behind |= behind
        self.registry = CollectorRegistry()
        self.settings = Settings(**overrides)
        self.time = ManualClock(wall=100.0)
        self.health = Health(self.time.monotonic, started=True)
        self.scorer = AmplitudeScorer()
        self.worker = Loop(
            Components(
                CheckedBroker(self.broker, self.settings),
                self.scorer,
                Thresholds(ActiveThreshold(2.0, None), np.array([0.5, 1.0, 1.5])),
                Episodes(episode_rule, personal and personal.watched),
                Recorder(Metrics(self.registry), self.health, self.settings, self.time.clock),
                personal,
            ),
            self.settings,
            model_id="model-1",
            clock=self.time.clock,
        )

    def turn(self, times=1):
        for _ in range(times):
            self.worker.step()
        return self

    def sent(self, topic: str) -> list[Message]:
        return [message for message in self.broker.delivered if message.topic == topic]

    def alerts(self):
        return [orjson.loads(message.value) for message in self.sent("ecg.alerts")]

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"ecg_monitor_{name}", labels)


def test_a_topic_that_was_made_again_is_judged_from_its_first_record():
    assigned = {0: Assigned(5000, None, {}, atomic=False)}
    first = replace(records([NORMAL] * 5, first_offset=5000), assigned=assigned)
    bench = Bench(first, records([ABNORMAL] * 3)).turn(4)
    assert [one["offset"] for one in bench.alerts()] == [2]


@pytest.mark.parametrize("read_from", [4000, 5000])
def test_a_topic_that_was_made_again_while_no_monitor_ran_is_judged_from_its_first_record(read_from):
    assigned = {0: Assigned(5000, None, {}, atomic=False, read_from=read_from)}
    bench = Bench(replace(records([ABNORMAL] * 3), assigned=assigned)).turn(3)
    assert [one["offset"] for one in bench.alerts()] == [2]


def test_a_monitor_is_ready_where_the_beats_that_it_would_read_again_are_no_longer_kept():
    assigned = {0: Assigned(5000, None, {}, atomic=False, read_from=4000)}
    bench = Bench(replace(records([]), assigned=assigned)).turn(3)
    assert "profiles" in bench.health.ready(bench.time.monotonic)
    bench.time.advance(GONE_SECONDS)
    assert "profiles" not in bench.turn().health.ready(bench.time.monotonic)


def test_normal_beats_cause_no_message_and_their_offsets_follow():
    bench = Bench(records([NORMAL] * 10)).turn()
    assert bench.broker.delivered == []
    assert bench.broker.committed == {0: 10}
    assert bench.metric("beats_total") == 10


def test_three_abnormal_beats_raise_an_alert_that_explains_itself():
    bench = Bench(records([NORMAL, ABNORMAL, ABNORMAL, ABNORMAL], keys=[b"bed 7"] * 4)).turn()
    (alert,) = bench.alerts()
    assert bench.sent("ecg.alerts")[0].key == b"bed 7"
    assert alert | {"samples": 0, "reconstruction": 0, "monitor_version": 0} == {
        "schema": 1,
        "id": "physiological:ecg.beats:0:3",
        "event": "opened",
        "source": "bed 7",
        "kind": "physiological",
        "priority": "medium",
        "presence": "on",
        "acknowledged": None,
        "ended": None,
        "activation": "on",
        "paused_until": None,
        "reopened": False,
        "left_out": 0,
        "cause": "unusual-shape",
        "marks": [],
        "beat_time": "1970-01-01T00:00:03.000Z",
        "opened_at": "1970-01-01T00:00:03.000Z",
        "closed_at": None,
        "beats": {"abnormal": 3, "seen": 3},
        "score": 3.0,
        "p_value": 0.25,
        "personal_score": None,
        "decided_by": "population",
        "threshold": 2.0,
        "threshold_version": None,
        "model_id": "model-1",
        "topic": "ecg.beats",
        "partition": 0,
        "offset": 3,
        "samples": 0,
        "reconstruction": 0,
        "typical": None,
        "monitor_version": 0,
    }
    assert len(alert["samples"]) == len(alert["reconstruction"]) == 140
    assert (alert["samples"][1], alert["reconstruction"][1]) == (-2.957, -1.478)


def traced(values, row):
    """Records of which one has a trace."""
    headers = [((), (("label", b"1"), ("traceparent", TRACE)))[one == row] for one in range(len(values))]
    return replace(records(values), headers=headers)


def test_alerts_have_headers_of_cloud_events():
    bench = Bench(records([ABNORMAL] * 3 + [NORMAL] * 5)).turn()
    opened, closed = (dict(message.headers) for message in bench.sent("ecg.alerts"))
    assert opened == {
        "ce_specversion": b"1.0",
        "ce_id": b"physiological:ecg.beats:0:2/opened/2",
        "ce_source": b"/ecg-monitor/ecg.alerts",
        "ce_type": b"ecg-monitor.alarm.opened",
        "ce_time": b"1970-01-01T00:00:02.000Z",
        "content-type": b"application/json",
    }
    assert (closed["ce_id"], closed["ce_type"]) == (
        b"physiological:ecg.beats:0:2/closed/7",
        b"ecg-monitor.alarm.closed",
    )


def test_an_alert_about_a_beat_without_a_time_has_no_time():
    bench = Bench(records([ABNORMAL] * 3, times=[-1] * 3)).turn()
    assert "ce_time" not in dict(bench.sent("ecg.alerts")[0].headers)


def test_the_trace_of_the_beat_that_opened_is_in_the_alert():
    bench = Bench(traced([b"junk", ABNORMAL, ABNORMAL, ABNORMAL, *[NORMAL] * 5], row=3)).turn()
    opened, closed = (dict(message.headers) for message in bench.sent("ecg.alerts"))
    assert opened["traceparent"] == TRACE
    assert "traceparent" not in closed


def test_the_traces_of_other_beats_are_not():
    bench = Bench(traced([ABNORMAL, ABNORMAL, ABNORMAL], row=1)).turn()
    assert "traceparent" not in dict(bench.sent("ecg.alerts")[0].headers)


def test_the_trace_is_found_where_records_are_left_out_and_several_partitions_come_together():
    first, second = traced([ABNORMAL] * 4, row=3), replace(records([NORMAL] * 3, partition=1))
    both = join(
        "ecg.beats",
        [
            RecordBlock(one, few.offset, few.time, few.key, few.value, few.headers)
            for one, few in ((1, second), (0, first))
        ],
        {},
        frozenset(),
    )
    old = replace(both, time=np.where(np.arange(7) == 3, 1, both.time + 100_000))
    bench = Bench(old, max_age_seconds=30).turn()
    (message,) = bench.sent("ecg.alerts")
    assert dict(message.headers)["traceparent"] == TRACE


def test_no_header_is_read_where_no_episode_opens():
    asked = AskedHeaders([()] * 8)
    Bench(replace(records([ABNORMAL] * 3 + [NORMAL] * 5), headers=asked)).turn()
    assert asked.rows == [2]


class AskedHeaders(list):
    """Remembers which were asked for."""

    def __init__(self, headers):
        super().__init__(headers)
        self.rows = []

    def __getitem__(self, row):
        self.rows.append(row)
        return super().__getitem__(row)


def test_the_end_of_an_episode_names_the_same_episode():
    bench = Bench(records([ABNORMAL] * 3 + [NORMAL] * 5)).turn()
    opened, closed = bench.alerts()
    assert opened["id"] == closed["id"]
    assert closed["event"] == "closed"
    assert closed["closed_at"] == closed["beat_time"] == "1970-01-01T00:00:07.000Z"
    assert closed["samples"] is closed["reconstruction"] is None
    assert closed["beats"] == {"abnormal": 3, "seen": 8}
    assert bench.metric("alerts_total", kind="physiological", event="closed") == 1


def test_a_bed_whose_clock_is_an_hour_ahead_of_the_others_raises_a_technical_alert():
    times = [1000 * beat + 3_600_000 * (beat % 2) for beat in range(8)]
    bench = Bench(records([NORMAL, ABNORMAL] * 4, keys=[b"right", b"ahead"] * 4, times=times)).turn()
    alerts = [(one["source"], one["kind"], one["cause"], one["marks"]) for one in bench.alerts()]
    assert alerts == [("ahead", "physiological", "unusual-shape", ["clock"]), ("ahead", "technical", "clock", [])]
    assert bench.metric("far_ahead_beats_total") == 4


def test_flat_beats_are_never_scored_and_raise_a_technical_alert():
    bench = Bench(records([FLAT] * 3), scores=True).turn()
    (alert,) = bench.alerts()
    assert (alert["kind"], alert["cause"], alert["score"], alert["p_value"]) == ("technical", "flat-line", None, None)
    assert alert["samples"] == [0.0] * 140
    assert alert["reconstruction"] is None
    assert {orjson.loads(message.value)["abnormal"] for message in bench.sent("ecg.scores")} == {None}
    assert bench.metric("unscorable_beats_total", cause=CAUSES[0]) == 3
    assert bench.metric("score_count") == 0


def test_a_record_that_is_not_a_beat_goes_to_the_dead_letters_unchanged():
    bench = Bench(records([NORMAL, b"\xff\x00", NORMAL])).turn()
    (letter,) = bench.sent("ecg.dead-letters")
    assert (letter.key, letter.value) == (b"source", b"\xff\x00")
    assert dict(letter.headers) == {
        "reason": b"wrong-length",
        "detail": b"2 bytes, where 140 float32 samples are 560",
        "topic": b"ecg.beats",
        "partition": b"0",
        "offset": b"1",
        "failed_at": b"1970-01-01T00:01:40.000Z",
    }
    assert bench.metric("beats_total") == 2
    assert bench.metric("dead_letters_total", reason="wrong-length") == 1
    assert bench.broker.committed == {0: 3}


def test_scores_are_written_when_asked_for_one_a_beat():
    bench = Bench(records([NORMAL, ABNORMAL]), scores=True).turn()
    normal, abnormal = (orjson.loads(message.value) for message in bench.sent("ecg.scores"))
    assert normal == {
        "score": 1.0,
        "p_value": 0.75,
        "abnormal": False,
        "threshold": 2.0,
        "personal_score": None,
        "decided_by": "population",
        "beat_time": "1970-01-01T00:00:00.000Z",
        "partition": 0,
        "offset": 0,
    }
    assert abnormal["abnormal"] is True


def test_the_batch_is_kept_during_an_outage_and_delivered_once():
    bench = Bench(records([ABNORMAL] * 3), records([NORMAL], first_offset=3))
    bench.broker.failures = 2
    bench.turn(2)
    assert bench.broker.committed == {}
    assert bench.metric("alerts_total", kind="physiological", event="opened") == 0
    assert bench.metric("broker_up") == 0
    assert bench.health.ready(0)["broker"]
    bench.turn(2)
    assert bench.broker.committed == {0: 4}
    assert len(bench.alerts()) == 1
    assert bench.metric("alerts_total", kind="physiological", event="opened") == 1
    assert bench.metric("broker_up") == 1
    assert "broker" not in bench.health.ready(0)


def test_an_outage_beyond_the_limit_ends_the_monitor():
    bench = Bench(records([ABNORMAL] * 3), broker_timeout_seconds=0.01)
    bench.broker.failures = 1000
    with pytest.raises(BrokerError, match="was lost for"):
        bench.turn(1000)


def test_a_stop_delivers_the_current_batch():
    bench = Bench(records([ABNORMAL] * 3), records([NORMAL], first_offset=3))
    bench.broker.failures = 1
    asked = iter([False, True])
    bench.worker.run(lambda: next(asked))
    assert len(bench.alerts()) == 1
    assert bench.broker.committed == {0: 3}


def test_with_a_backlog_a_step_is_scored_after_the_next_one_is_read_and_delivered_in_parallel():
    log = records([ABNORMAL] * 3), records([NORMAL] * 5, first_offset=3), records([NORMAL], first_offset=8)
    bench = Bench(*log, behind=True).turn()
    assert bench.broker.begun == bench.broker.delivered == []
    bench.turn()
    assert len(bench.broker.begun) == 1
    assert bench.broker.delivered == []
    assert bench.metric("beats_total") == 0
    bench.turn()
    assert bench.broker.committed == {0: 9}
    assert [alert["event"] for alert in bench.alerts()] == ["opened", "closed"]
    assert bench.metric("beats_total") == 9
    assert bench.metric("step_seconds_count") == 3


def test_outdated_state_of_a_revoked_partition_is_not_deleted():
    later = kept(Bench(records([ABNORMAL] * 2, partition=1)).turn())
    back = replace(records([NORMAL], keys=[b"other"]), assigned={1: Assigned(0, 0, later, True)})
    bench = Bench(back, replace(records([NORMAL], first_offset=1), revoked=frozenset({1})), behind=True).turn(3)
    assert bench.sent("ecg-monitor.state") == []
    assert bench.broker.committed == {0: 2}


def several(*parts, **fields):
    """Records of several partitions in one poll."""
    whole = parts[0]
    columns = {name: np.concatenate([getattr(one, name) for one in parts]) for name in ("partition", "offset", "time")}
    joined = {name: Column.join([getattr(one, name) for one in parts]) for name in ("key", "value")}
    return replace(whole, **columns, **joined, headers=sum((one.headers for one in parts), ()), **fields)


@pytest.mark.parametrize("how", ["revoked", "assigned"])
def test_records_that_are_read_again_before_they_are_scored_count_once(how):
    times, old = [95_000, 96_000, 97_000, 98_000, 0], [ABNORMAL, b"not a beat", ABNORMAL, ABNORMAL, NORMAL]
    mine, others = (records(old, partition=one, keys=[b"%d" % one] * 5, times=times) for one in (0, 1))
    gone = {"revoked": {"revoked": frozenset({1})}, "assigned": {"assigned": {1: Assigned(0, None, {}, True)}}}[how]
    after = (others,) if how == "assigned" else ()
    bench = Bench(several(mine, others), replace(records([]), **gone), *after, behind=True, max_age_seconds=50).turn(4)
    assert [alert["source"] for alert in bench.alerts()] == ["0", "1"][: 1 + len(after)]
    assert len(bench.sent("ecg.dead-letters")) == 1 + len(after)
    assert bench.broker.committed == {0: 5} | ({1: 5} if after else {})
    assert bench.metric("beats_total") == 3 * (1 + len(after))
    assert bench.metric("shed_records_total") == 1 + len(after)


@given(st.lists(st.lists(st.sampled_from([NORMAL, ABNORMAL, FLAT, b"not a beat"]), min_size=1, max_size=6), max_size=8))
def test_deliveries_do_not_depend_on_the_size_of_the_backlog(batches):
    firsts = np.cumsum([0, *map(len, batches)]).tolist()
    log = [records(batch, first_offset=first) for batch, first in zip(batches, firsts, strict=False)]
    alone, behind = (Bench(*log, behind=behind).turn(len(log) + 1) for behind in (False, True))
    assert behind.broker.delivered == alone.broker.delivered
    assert behind.broker.committed == alone.broker.committed
    assert behind.metric("beats_total") == alone.metric("beats_total")


def test_a_delivery_that_is_rewound_discards_the_next_step_too():
    begin = records([ABNORMAL] * 2), records([ABNORMAL], first_offset=2), records([NORMAL], first_offset=3)
    bench = Bench(*begin, assigned(0), records([ABNORMAL] * 3), behind=True)
    bench.broker.rewinds = 1
    bench.turn(3)
    assert bench.broker.committed == {}
    bench.turn(3)
    assert [alert["id"] for alert in bench.alerts()] == ["physiological:ecg.beats:0:2"]
    assert bench.broker.committed == {0: 3}
    assert bench.metric("beats_total") == 3


def test_a_delivery_that_fails_is_retried_and_the_next_step_is_kept():
    log = records([ABNORMAL] * 3), records([NORMAL] * 5, first_offset=3), records([NORMAL], first_offset=8)
    bench = Bench(*log, behind=True).turn(2)
    bench.broker.failures = 2
    bench.turn(3)
    assert bench.broker.committed == {0: 9}
    assert [alert["event"] for alert in bench.alerts()] == ["opened", "closed"]


def test_a_delivery_is_completed_while_nothing_can_be_read(monkeypatch):
    log = [records([ABNORMAL] * 3, first_offset=first) for first in (0, 3, 6)]
    bench = Bench(*log, behind=True).turn(2)

    def away():
        raise BrokerError("the leader cannot be reached")

    monkeypatch.setattr(bench.broker, "poll", away)
    bench.turn(2)
    assert bench.broker.committed == {0: 3}
    assert len(bench.alerts()) == 1


def test_records_read_before_a_failed_poll_are_scored_after_the_next_poll_reports_revocations(monkeypatch):
    first, second = records([ABNORMAL] * 3), several(*(records([ABNORMAL] * 3, partition=one) for one in (1, 2)))
    bench = Bench(first, second, replace(records([]), revoked=frozenset({1})), behind=True).turn(2)
    poll, failing = bench.broker.poll, iter([True, False])

    def poll_that_fails_once():
        if next(failing):
            raise BrokerError("the leader cannot be reached")
        return poll()

    monkeypatch.setattr(bench.broker, "poll", poll_that_fails_once)
    bench.broker.is_behind = False
    bench.turn(2)
    assert bench.broker.committed == {0: 3}
    bench.turn()
    assert bench.broker.committed == {0: 3, 2: 3}


def test_each_stage_of_a_step_is_timed_and_together_they_are_the_step():
    bench = Bench(records([ABNORMAL] * 3))
    for part, name, seconds in ((bench.scorer, "score", 1), (bench.scorer, "explain", 2), (bench.broker, "deliver", 4)):
        setattr(part, name, takes(seconds, getattr(part, name), bench.time))
    bench.broker.poll = takes(8, bench.broker.poll, bench.time)
    bench.turn()
    assert {stage: bench.metric("stage_seconds_sum", stage=stage) for stage in STAGES} == {
        "parse": 0,
        "score": 1,
        "judge": 0,
        "encode": 2,
        "deliver": 4,
    }
    assert [bench.metric("stage_seconds_count", stage=stage) for stage in STAGES] == [1] * len(STAGES)
    assert (bench.metric("step_seconds_sum"), bench.metric("poll_seconds_sum")) == (7, 8)


def takes(seconds, call, time):
    """`call`, and so many seconds that pass before it."""

    def slow(*arguments):
        time.advance(seconds)
        return call(*arguments)

    return slow


def test_a_defect_in_the_background_reaches_the_loops_own_thread():
    bench = Bench(*(records([NORMAL], first_offset=first) for first in (0, 1)), behind=True)

    def defect(_):
        raise TypeError("planted")

    bench.scorer.score = defect
    with pytest.raises(TypeError, match="planted"):
        bench.turn(2)


def test_successful_reads_do_not_end_an_outage_of_deliveries():
    bench = Bench(records([ABNORMAL] * 3), *[records([])] * 9, behind=True)
    bench.broker.failures = 3
    bench.turn(4)
    assert bench.metric("broker_up") == 0
    assert len(bench.broker.begun) == 1


@pytest.mark.parametrize(("turns", "committed"), [(1, {}), (2, {0: 3}), (3, {0: 6})])
def test_a_stop_completes_the_delivery_and_leaves_unscored_records_to_other_members(turns, committed):
    bench = Bench(*(records([ABNORMAL] * 3, first_offset=first) for first in (0, 3, 6, 9)), behind=True)
    is_whole = bench.worker.run(iter([False] * turns + [True]).__next__)
    assert bench.broker.committed == committed
    assert len(bench.broker.log) == 4 - turns
    assert not is_whole


def test_a_row_of_state_that_a_step_writes_is_not_deleted_by_the_next_one_as_outdated():
    later = kept(Bench(records([ABNORMAL] * 2)).turn())
    taken_back = replace(records([ABNORMAL]), assigned={0: Assigned(0, 0, later, True)})
    bench = Bench(taken_back, *(records([NORMAL], first_offset=first) for first in (1, 2)), behind=True).turn(3)
    assert [decode(value).offset for value in kept(bench).values()] == [2]


def test_a_partition_revoked_during_its_delivery_leaves_no_series():
    log = records([NORMAL]), records([NORMAL], partition=1), replace(records([]), revoked=frozenset({0}))
    bench = Bench(*log, behind=True).turn(2)
    bench.broker.lag = dict
    assert bench.turn().metric("partition_beats_total", partition="0") is None
    assert bench.metric("beats_total") == 2


def assigned(offset, clock=None, state=None, *, atomic=True):
    """What a poll reports of a partition that is assigned, for the first time or again."""
    stream_time = None if clock is None else StreamTime.at(clock)
    return replace(records([]), assigned={0: Assigned(offset, stream_time, state or {}, atomic)})


def kept(bench):
    """The state topic, compacted."""
    rows = {}
    for message in bench.sent("ecg-monitor.state"):
        rows[message.key] = message.value
    return {source: value for source, value in rows.items() if value is not None}


def test_a_monitor_that_takes_over_makes_the_same_decisions():
    first = Bench(records([ABNORMAL] * 2)).turn()
    assert first.alerts() == []
    assert first.broker.stream_times[0].now == 1000
    second = Bench(assigned(2, 1000, kept(first)), records([ABNORMAL], first_offset=2, times=[2000])).turn(2)
    assert [alert["id"] for alert in second.alerts()] == ["physiological:ecg.beats:0:2"]
    third = Bench(assigned(3, 2000, kept(second)), records([NORMAL] * 5, first_offset=3)).turn()
    assert third.metric("episodes", kind="physiological") == 1
    third.turn()
    assert [(alert["event"], alert["id"]) for alert in third.alerts()] == [("closed", "physiological:ecg.beats:0:2")]
    assert kept(third) == {}
    assert third.sent("ecg-monitor.state")[0].partition == 0


def stretch(log, partition, start, stop):
    """Records of two sources in turn."""
    keys, times = (
        [b"%d.%d" % (partition, row % 2) for row in range(start, stop)],
        range(1000 * start, 1000 * stop, 1000),
    )
    return records(log[start:stop], partition=partition, first_offset=start, keys=keys, times=times)


class ShakyBroker(FakeBroker):
    """Random polls: partitions are assigned and revoked, and deliveries are rewound."""

    def __init__(self, logs, chance):
        super().__init__()
        self.is_behind = True
        self._logs, self._chance = logs, chance
        self._next: dict[int, int] = {}  # of the partitions that are read here

    def is_done(self):
        return all(self.committed.get(one, 0) == len(log) for one, log in enumerate(self._logs))

    def has_more(self):
        return not self.is_done() and self._chance.random() < 0.8

    def poll(self):
        lost = {one for one in self._next if self._chance.random() < 0.2}
        back = {one for one in range(len(self._logs)) if self._chance.random() < 0.5} - (self._next.keys() - lost)
        if lost or back:
            self._finish_delivery()
        self._next = {one: at for one, at in self._next.items() if one not in lost}
        brought = [self._bring(one, at) for one, at in sorted(self._next.items())]
        self._next |= {one: self.committed.get(one, 0) for one in back}
        assigned = {one: Assigned(self._next[one], self.stream_times.get(one), self._kept(one), True) for one in back}
        return several(records([]), *brought, revoked=frozenset(lost - back), assigned=assigned)

    def deliver(self, checkpoint):
        self.begun = []
        if checkpoint and checkpoint is not self._acknowledged and self._chance.random() < 0.2:
            self._next, self.rewinds = {}, 1
        super().deliver(checkpoint)

    def _bring(self, partition, at):
        self._next[partition] = stop = min(len(self._logs[partition]), at + self._chance.randint(0, 5))
        return stretch(self._logs[partition], partition, at, stop)

    def _finish_delivery(self):
        for checkpoint in self.begun:
            super().deliver(checkpoint)
        self.begun = []

    def _kept(self, partition):
        rows = [one for one in self.delivered if one.topic == "ecg-monitor.state" and one.partition == partition]
        return {one.key: one.value for one in rows if {row.key: row.value for row in rows}[one.key] is not None}


LOG = st.lists(st.sampled_from([NORMAL, ABNORMAL, ABNORMAL, FLAT, b"not a beat"]), max_size=15)


@given(st.tuples(LOG, LOG), st.integers(0, 2**32))
def test_whatever_comes_and_goes_between_polls_each_beat_counts_once(logs, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monitor.pipeline.loop.PAUSE_SECONDS", 0)
        shaken = Bench(broker=ShakyBroker(logs, random.Random(seed)))
        turns = itertools.takewhile(lambda _: not shaken.broker.is_done(), range(500))
        for _ in itertools.chain(turns, range(2)):
            shaken.turn()
    assert shaken.broker.is_done()
    calm = Bench(*(stretch(log, one, 0, len(log)) for one, log in enumerate(logs))).turn(2)
    for topic in ("ecg.alerts", "ecg.dead-letters"):
        assert sorted(one.value for one in shaken.sent(topic)) == sorted(one.value for one in calm.sent(topic))
    assert kept(shaken) == kept(calm)
    assert shaken.metric("beats_total") == calm.metric("beats_total")


def test_an_episode_that_starts_and_ends_within_a_batch_leaves_no_state():
    assert Bench(records([ABNORMAL] + [NORMAL] * 5)).turn().sent("ecg-monitor.state") == []


def test_silence_is_measured_by_the_committed_stream_time():
    first = Bench(records([ABNORMAL] * 3)).turn()
    second = Bench(assigned(3, 70_000, kept(first)), records([NORMAL], keys=[b"x"], times=[5], first_offset=3)).turn(2)
    assert [(alert["event"], alert["cause"]) for alert in second.alerts()] == [("closed", "silent")]


def test_a_rewound_step_is_discarded_and_read_again():
    again = assigned(0), records([ABNORMAL] * 3)
    bench = Bench(records([ABNORMAL] * 2), *again)
    bench.broker.rewinds = 1
    bench.turn()
    assert bench.broker.committed == {}
    bench.turn(2)
    assert [alert["id"] for alert in bench.alerts()] == ["physiological:ecg.beats:0:2"]
    assert bench.metric("beats_total") == 3
    assert bench.metric("broker_up") == 1


def test_a_broker_that_accepts_no_delivery_ends_the_monitor_although_reads_work():
    log = [one for _ in range(9) for one in (assigned(0), records([ABNORMAL] * 3))]
    bench = Bench(*log, broker_timeout_seconds=0.01)
    bench.broker.rewinds = 1000
    with pytest.raises(BrokerError, match="nothing could be delivered for"):
        bench.turn(9)


def test_a_broker_that_answered_all_the_time_does_not_answer_again(caplog):
    caplog.set_level("INFO")
    log = [one for _ in range(4) for one in (assigned(0), records([ABNORMAL] * 3))]
    bench = Bench(*log)
    bench.broker.rewinds = 2
    bench.turn(6)
    assert "alerts leave again, after" in caplog.text
    assert "the broker answers again" not in caplog.text


def test_steps_without_alerts_do_not_hide_failed_deliveries_of_alerts():
    log = [one for _ in range(9) for one in (assigned(0), records([NORMAL]), records([ABNORMAL] * 3, first_offset=1))]
    bench = Bench(*log, broker_timeout_seconds=0.01)
    bench.broker.rewinds = 1000
    with pytest.raises(BrokerError, match="nothing could be delivered for"):
        bench.turn(27)


def test_at_least_once_a_beat_that_its_state_includes_is_not_observed_again():
    first = Bench(records([ABNORMAL] * 2)).turn()
    second = Bench(assigned(0, 0, kept(first), atomic=False), records([ABNORMAL] * 3)).turn(2)
    assert [alert["offset"] for alert in second.alerts()] == [2]
    assert second.metric("beats_total") == 3


def test_episodes_of_a_partition_that_another_member_reads_now_are_not_counted_here():
    bench = Bench(records([ABNORMAL] * 3)).turn()
    assert bench.metric("episodes", kind="physiological") == 1
    bench.broker.log.append(replace(records([]), revoked=frozenset({0})))
    assert bench.turn().metric("episodes", kind="physiological") == 0


@pytest.mark.parametrize(("clock", "atomic"), [(None, False), (0, True)])
def test_state_beyond_offsets_that_were_reset_is_ignored_and_deleted(clock, atomic):
    first = Bench(records([ABNORMAL] * 2)).turn()
    second = Bench(assigned(0, clock, kept(first), atomic=atomic), records([ABNORMAL] + [NORMAL] * 5)).turn(2)
    assert second.alerts() == []
    assert [(row.key, row.value, row.partition) for row in second.sent("ecg-monitor.state")] == [(b"source", None, 0)]


def test_an_open_episode_whose_beats_are_gone_closes_at_the_next_beat():
    first = Bench(records([ABNORMAL] * 3)).turn()
    again = Bench(assigned(0, None, kept(first)), records([b"not a beat"]), records([NORMAL], first_offset=1)).turn(2)
    assert again.metric("episodes", kind="physiological") == 1
    assert again.turn().metric("episodes", kind="physiological") == 0
    (alert,) = again.alerts()
    (opened,) = first.alerts()
    assert (alert["event"], alert["cause"], alert["id"], alert["offset"]) == ("closed", "read-again", opened["id"], 1)
    assert kept(again) == {}


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"schema":2}', b"\xff", b'{"schema":1,"offset":"x"}'])
def test_unreadable_state_is_counted_and_other_state_is_restored(value):
    good = kept(Bench(records([ABNORMAL] * 2)).turn())
    bench = Bench(assigned(2, 1000, {b"other": value} | good), records([ABNORMAL], first_offset=2)).turn(2)
    assert len(bench.alerts()) == 1
    assert bench.metric("state_ignored_total") == 1


def test_a_threshold_is_changed_for_one_source_and_stamped_with_its_version():
    change = ControlRecord(b"threshold/bed 1", b'{"threshold": 4.0, "by": "nurse"}', 17)
    nonsense = ControlRecord(b"threshold/bed 2", b"{", 18)
    beats = records([ABNORMAL] * 3, keys=[b"bed 1"] * 3), records([ABNORMAL] * 3, keys=[b"bed 2"] * 3, first_offset=3)
    bench = Bench(replace(beats[0], control_records=(change, nonsense)), beats[1]).turn(2)
    assert [(alert["source"], alert["threshold"], alert["threshold_version"]) for alert in bench.alerts()] == [
        ("bed 2", 2.0, None)
    ]
    assert bench.metric("control_ignored_total") == 1
    assert (bench.metric("source_thresholds"), bench.metric("threshold_version")) == (1, -1)


def test_a_threshold_for_all_is_on_the_alert_and_in_the_metrics():
    change = ControlRecord(b"threshold/*", b'{"threshold": 2.5}', 3)
    bench = Bench(replace(records([ABNORMAL] * 3), control_records=(change,))).turn()
    assert [(alert["threshold"], alert["threshold_version"]) for alert in bench.alerts()] == [(2.5, 3)]
    assert (bench.metric("threshold"), bench.metric("threshold_version")) == (2.5, 3)


def test_the_share_of_normal_beats_that_a_threshold_flags_is_in_the_metrics():
    change = ControlRecord(b"threshold/*", b'{"threshold": 0.7}', 3)
    bench = Bench(records([NORMAL]), replace(records([NORMAL]), control_records=(change,)))
    assert bench.metric("expected_abnormal_ratio") == 0.25  # none of three above 2.0
    bench.turn(2)
    assert bench.metric("expected_abnormal_ratio") == 0.75  # two of three above 0.7


def test_records_older_than_the_limit_are_counted_and_left_out():
    bench = Bench(records([ABNORMAL] * 4, times=[1000, 2000, 98_000, 99_000]), max_age_seconds=5).turn()
    assert bench.metric("shed_records_total") == 2
    assert bench.metric("beats_total") == 2
    assert bench.broker.committed == {0: 4}


def test_a_batch_of_several_partitions_is_scored_partition_by_partition():
    one, two = records([ABNORMAL] * 2, partition=0), records([ABNORMAL] * 3, partition=1, first_offset=7)
    both = type(one)(
        "ecg.beats",
        *(np.concatenate([getattr(one, name), getattr(two, name)]) for name in ("partition", "offset", "time")),
        Column.of([*one.key, *two.key]),
        Column.of([*one.value, *two.value]),
        one.headers + two.headers,
    )
    bench = Bench(both).turn()
    assert [(alert["partition"], alert["offset"]) for alert in bench.alerts()] == [(1, 9)]
    assert bench.broker.committed == {0: 2, 1: 10}


def test_a_partition_does_not_count_as_stuck_during_an_outage():
    batches = records([NORMAL]), records([ABNORMAL] * 3, first_offset=1), records([NORMAL], first_offset=4)
    bench = Bench(*batches).turn()
    bench.broker.failures = 3
    for _ in range(3):
        bench.time.advance(40)
        bench.turn()
    assert bench.health.live(bench.time.monotonic + 40) == {}


def test_the_monitor_logs_once_that_it_is_ready(caplog):
    caplog.set_level("INFO")
    bench = Bench(*[records([NORMAL])] * 3).turn(3)
    assert [line for line in caplog.messages if "ready" in line] == ["ready: a beat would raise its alarm now"]
    assert bench.health.ready(0) == {}


def test_the_author_of_a_threshold_change_is_logged_and_no_source_above_debug(caplog):
    caplog.set_level("INFO")
    changes = (
        ControlRecord(b"threshold/*", b'{"threshold": 2.5, "by": "nurse\\u001b[2J"}', 3),
        ControlRecord(b"threshold/bed 7", b'{"threshold": 4.0}', 4),
        ControlRecord(b"threshold/bed 7", b"{", 5),
        ControlRecord(b"threshold/*", None, 6),
    )
    Bench(*(replace(records([ABNORMAL] * 3, keys=[b"bed 7"] * 3), control_records=(one,)) for one in changes)).turn(4)
    assert "threshold for all sources: 2.5, by control record 3 of nurse\ufffd[2J" in caplog.messages
    assert "threshold for all sources: 2, the model's or the setting's" in caplog.messages
    assert "1 control records read; sources with a threshold of their own: 1" in caplog.messages
    assert any(line.startswith("control record at offset 5: not JSON") for line in caplog.messages)
    assert "bed 7" not in caplog.text


def test_records_that_are_not_beats_are_logged_at_once_and_then_summed_up(caplog):
    bench = Bench(*[records([b"{", b"", b""])] * 4, records([]), records([b""]))
    bench.turn(4)
    lines = [line for line in caplog.messages if "dead letters" in line]
    assert lines == ["records that are not beats went to the dead letters: 2 empty, 1 not-json"]
    bench.time.advance(60)
    bench.turn()
    assert caplog.messages[-1].endswith(": 6 empty, 3 not-json")
    bench.worker.run(iter([False, True]).__next__)
    assert caplog.messages[-1].endswith(": 1 empty")


def test_unreadable_state_is_logged_without_its_source(caplog):
    Bench(assigned(2, 1000, {b"bed 7": b"{}"})).turn()
    assert "a row of episode state is not used" in caplog.text
    assert "bed 7" not in caplog.text
