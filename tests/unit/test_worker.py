"""The walk, end to end but for Kafka: what goes in, what comes out, in which order, and what waits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest
from prometheus_client import CollectorRegistry

from monitor.episode import Episodes, Rule
from monitor.errors import BrokerError
from monitor.health import Health
from monitor.metrics import Metrics
from monitor.scorer import CAUSES, Explanation, Scores
from monitor.settings import Settings
from monitor.threshold import Threshold
from monitor.worker import Line, Worker
from tests.fakes import FakeBroker, records

if TYPE_CHECKING:
    from monitor.record import Message

NORMAL = np.linspace(-1, 1, 140, dtype="<f4").tobytes()
ABNORMAL = np.linspace(-3, 3, 140, dtype="<f4").tobytes()
FLAT = np.zeros(140, "<f4").tobytes()


class AmplitudeScorer:
    """Scores a beat by its largest sample: a model whose right answer is provable."""

    device = "cpu"

    def score(self, samples):
        cause = (np.ptp(samples, axis=1) == 0).astype(np.int8) if len(samples) else np.zeros(0, np.int8)
        return Scores(np.where(cause, np.nan, samples.max(axis=1, initial=0)).astype(np.float32), cause)

    def explain(self, samples):
        return Explanation(samples, samples / 2)


class Bench:
    """A worker on a fake broker."""

    def __init__(self, *log, **overrides):
        self.broker = FakeBroker(log)
        self.registry = CollectorRegistry()
        self.health = Health(started=True)
        self.settings = Settings(**overrides)
        self.worker = Worker(
            Line(
                self.broker,
                AmplitudeScorer(),
                Threshold(2.0, None, np.array([0.5, 1.0, 1.5])),
                Episodes(Rule(3, 5, 5, 60_000)),
                Metrics(self.registry),
                self.health,
            ),
            self.settings,
            model_id="model-1",
            clock=lambda: 100.0,
        )

    def turn(self, times=1):
        for _ in range(times):
            self.worker.turn()
        return self

    def sent(self, topic: str) -> list[Message]:
        return [message for message in self.broker.delivered if message.topic == topic]

    def alerts(self):
        return [orjson.loads(message.value) for message in self.sent("ecg.alerts")]

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"ecg_monitor_{name}", labels)


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
        "id": "physiological:ecg.beats:0:3",
        "event": "opened",
        "source": "bed 7",
        "kind": "physiological",
        "priority": "medium",
        "cause": "unusual-shape",
        "beat_time": "1970-01-01T00:00:03.000Z",
        "opened_at": "1970-01-01T00:00:03.000Z",
        "closed_at": None,
        "beats": {"abnormal": 3, "seen": 3},
        "score": 3.0,
        "p_value": 0.25,
        "threshold": 2.0,
        "threshold_version": None,
        "model_id": "model-1",
        "topic": "ecg.beats",
        "partition": 0,
        "offset": 3,
        "samples": 0,
        "reconstruction": 0,
        "monitor_version": 0,
    }
    assert len(alert["samples"]) == len(alert["reconstruction"]) == 140
    assert (alert["samples"][1], alert["reconstruction"][1]) == (-2.957, -1.478)


def test_the_end_of_an_episode_names_the_same_episode():
    bench = Bench(records([ABNORMAL] * 3 + [NORMAL] * 5)).turn()
    opened, closed = bench.alerts()
    assert opened["id"] == closed["id"]
    assert closed["event"] == "closed"
    assert closed["closed_at"] == closed["beat_time"] == "1970-01-01T00:00:07.000Z"
    assert closed["samples"] is closed["reconstruction"] is None
    assert closed["beats"] == {"abnormal": 3, "seen": 8}
    assert bench.metric("alerts_total", kind="physiological", event="closed") == 1


def test_flat_beats_are_never_scored_and_raise_a_technical_alert():
    bench = Bench(records([FLAT] * 3), scores=True).turn()
    (alert,) = bench.alerts()
    assert (alert["kind"], alert["cause"], alert["score"], alert["p_value"]) == ("technical", "flat-line", None, None)
    assert alert["samples"] == [0.0] * 140
    assert alert["reconstruction"] is None
    assert {orjson.loads(message.value)["abnormal"] for message in bench.sent("ecg.scores")} == {None}
    assert bench.metric("unscorable_beats_total", cause=CAUSES[0]) == 3
    assert bench.metric("score_count") == 0


def test_a_record_that_is_no_beat_goes_to_the_dead_letters_as_it_came():
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
        "beat_time": "1970-01-01T00:00:00.000Z",
        "partition": 0,
        "offset": 0,
    }
    assert abnormal["abnormal"] is True


def test_while_the_broker_is_away_the_batch_is_kept_and_delivered_once():
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


def test_a_broker_lost_beyond_the_limit_ends_the_monitor():
    bench = Bench(records([ABNORMAL] * 3), broker_timeout_seconds=0.01)
    bench.broker.failures = 1000
    with pytest.raises(BrokerError, match="was lost for"):
        bench.turn(1000)


def test_a_stop_delivers_what_is_in_hand():
    bench = Bench(records([ABNORMAL] * 3), records([NORMAL], first_offset=3))
    bench.broker.failures = 1
    asked = iter([False, True])
    bench.worker.run(lambda: next(asked))
    assert len(bench.alerts()) == 1
    assert bench.broker.committed == {0: 3}


def assigned_anew(batch):
    return replace(batch, fresh=frozenset({0}))


def test_records_that_come_again_after_a_rebalance_are_not_judged_twice():
    again = assigned_anew(records([ABNORMAL])), records([ABNORMAL] * 2, first_offset=1)
    bench = Bench(records([ABNORMAL] * 2), *again).turn(2)
    assert bench.metric("beats_total") == 2
    bench.turn()
    assert bench.metric("beats_total") == 3
    assert [alert["offset"] for alert in bench.alerts()] == [2]
    assert bench.broker.committed == {0: 3}


def test_what_somebody_else_judged_meanwhile_ends_what_was_known():
    bench = Bench(records([ABNORMAL] * 2), assigned_anew(records([ABNORMAL], first_offset=9))).turn(2)
    assert bench.alerts() == []


def test_a_batch_of_several_partitions_is_judged_partition_by_partition():
    one, two = records([ABNORMAL] * 2, partition=0), records([ABNORMAL] * 3, partition=1, first_offset=7)
    both = type(one)(
        "ecg.beats",
        *(np.concatenate([getattr(one, name), getattr(two, name)]) for name in ("partition", "offset", "time")),
        one.key + two.key,
        one.value + two.value,
        one.headers + two.headers,
    )
    bench = Bench(both).turn()
    assert [(alert["partition"], alert["offset"]) for alert in bench.alerts()] == [(1, 9)]
    assert bench.broker.committed == {0: 2, 1: 10}


def test_a_partition_is_not_blamed_for_standing_still_while_the_broker_is_away(monkeypatch):
    clock = itertools.count(step=20.0)
    monkeypatch.setattr("monitor.worker.time.monotonic", lambda: next(clock))
    batches = records([NORMAL]), records([ABNORMAL] * 3, first_offset=1), records([NORMAL], first_offset=4)
    bench = Bench(*batches).turn()
    bench.broker.failures = 3
    bench.turn(3)
    assert bench.health.live(next(clock)) == {}
