"""The loop with profiles: each source is judged by its own normal, also after a kill, a rebalance or a replay."""

from __future__ import annotations

from functools import cache

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitor.beats.beat import encode
from monitor.broker import MemoryBroker, MemoryCluster
from monitor.pipeline.personal import PersonalJudge, episode_rule
from monitor.records.record import Message
from monitor.settings import Settings
from tests.pipeline.test_loop import FLAT, Bench
from tests.profiles.beats_of_sources import source

SETTINGS = {"profile_seconds": 120, "scores": True, "group_id": "ward", "latch_high": False}
RUN = "NNNNNNNNNNNNNNNNNNNNNNNNVVVVVNNNNNNNNNNNNNNNN"
LEARNING = "N" * 200
START_MS = 1_700_000_000_000


class Ward:
    """A cluster with beats, and the loops that judge them with profiles, one after the other."""

    def __init__(self, kinds, *silences, **changes):
        """`silences`: source, and from which to which second it sends nothing."""
        self._changes = SETTINGS | changes
        self.settings = Settings(**self._changes)
        self.cluster = MemoryCluster(self.settings, partitions=2)
        for message, time_ms in stream(kinds):
            second = (time_ms - START_MS) / 1000
            if not any(message.key == source and start <= second < end for source, start, end in silences):
                self.cluster.publish(message, time_ms)
        self.bench = None
        self.start()

    def start(self):
        """A monitor begins; one that ran before is killed."""
        if self.bench is not None:
            self.cluster.evict(self.bench.broker)
        broker = BatchBroker(self.cluster, profiles=True)
        self.personal = personal = PersonalJudge(self.settings)
        rule = episode_rule(self.settings, profiles=True)
        self.bench = Bench(broker=broker, personal=personal, episode_rule=rule, **self._changes)

    def judge_all(self):
        while self.bench.turn().broker.lag_of_all():
            pass
        self.bench.turn(3)
        return self

    def alerts(self):
        return [orjson.loads(one.value) for one in self.cluster.messages(self.settings.alerts_topic)]

    def scores(self):
        return [orjson.loads(one.value) for one in self.cluster.messages(self.settings.scores_topic)]


class BatchBroker(MemoryBroker):
    """A member that can be told how many records a poll brings."""

    is_behind = False

    def lag_of_all(self):
        return any(self.lag().values())


def control(key, value):
    return Message("ecg.control", key, value)


@cache
def stream(kinds):
    """Beats of three sources in two partitions, by their times, with their record times."""
    found = []
    for number, name in enumerate((b"bed 1", b"bed 2", b"bed 3")):
        samples, times = source(kinds.replace("F", "N"), seed=number)
        for kind, one, time_ms in zip(kinds, samples, times.tolist(), strict=True):
            value = FLAT if kind == "F" else encode(one, "float32")
            found.append((time_ms + number, Message("ecg.beats", name, value, partition=number % 2)))
    return [(message, START_MS + time_ms) for time_ms, message in sorted(found, key=lambda one: one[0])]


def facts(alerts):
    left_out = {"score", "p_value", "reconstruction", "samples", "typical"}  # they depend on the batch a little
    return sorted(
        (str({name: one for name, one in alert.items() if name not in left_out}) for alert in alerts),
    )


def test_three_ventricular_beats_of_a_learned_source_open_an_alarm_that_shows_its_typical_beat():
    alerts = Ward(LEARNING + RUN).judge_all().alerts()
    opened = [one for one in alerts if one["event"] == "opened"]
    assert {one["source"] for one in opened} == {"bed 1", "bed 2", "bed 3"}
    assert len(opened) == 3
    for one in opened:
        assert (one["decided_by"], one["kind"], one["cause"]) == ("personal", "physiological", "unusual-shape")
        assert one["personal_score"] > 3
        typical = np.array([np.nan if value is None else value for value in one["typical"]])
        assert np.isfinite(typical[10:130]).all()
        assert abs(int(np.nanargmax(typical)) - 53) < 3  # its R peak, 0.248 s after the first sample
    assert [one["event"] for one in alerts].count("closed") == 3


def test_a_source_without_a_profile_is_judged_by_the_population_once_the_model_is_known_to_fit():
    scores = Ward(LEARNING + RUN).judge_all().scores()
    by_population = [one for one in scores if one["decided_by"] == "population"]
    assert all(one["personal_score"] is None for one in by_population)
    assert 3 * 140 < len(by_population) < 3 * 200


def test_single_early_beats_pairs_and_every_third_beat_open_nothing():
    assert Ward(LEARNING + "NNNVNNNNNNNVNVNNNNNVVNNNNVNNVNNVNN" * 2).judge_all().alerts() == []


def told(ward, source="bed 1"):
    return [(one["event"], one["priority"], one["cause"]) for one in ward.alerts() if one["source"] == source]


def test_every_second_beat_opens_an_alarm_of_low_priority_and_a_run_makes_it_more_urgent():
    ward = Ward(LEARNING + "NNNVNVNVNVNVNVN" + "VVVVVVNVNVNVN" + "N" * 20).judge_all()
    low, high = ("low", "frequent-ectopy"), ("high", "unusual-shape")
    assert told(ward)[0] == ("opened", *low)
    assert told(ward)[1][::2] == ("updated", "unusual-shape")
    assert told(ward)[-2:] == [("updated", *high), ("closed", "high", "frequent-ectopy")]
    assert len({one["id"] for one in ward.alerts() if one["source"] == "bed 1"}) == 1


def test_frequent_ectopy_can_be_left_out_and_runs_open_alarms_all_the_same():
    ward = Ward(LEARNING + "NVNVNVNVNVNVNVNN" + RUN, frequent_ectopy=False).judge_all()
    assert {one["cause"] for one in ward.alerts()} == {"unusual-shape"}


def test_with_k_of_n_or_a_threshold_of_its_own_nothing_is_said_of_frequent_ectopy():
    kinds = LEARNING + "NVNVNVNVNVNVNVNVNN"
    alerts = Ward(kinds, rule="k-of-n").judge_all().alerts()
    ward = Ward(kinds)
    ward.cluster.publish(control(b"threshold/bed 1", b'{"threshold":1000000}'))
    assert "frequent-ectopy" not in {one["cause"] for one in alerts}
    assert told(ward.judge_all()) == []
    assert {one["cause"] for one in ward.alerts()} == {"frequent-ectopy"}


def test_with_k_of_n_the_population_decides_and_the_personal_score_is_shown():
    ward = Ward(LEARNING + RUN, rule="k-of-n").judge_all()
    assert {one["decided_by"] for one in ward.scores()} == {"population"}
    assert sum(one["personal_score"] is not None for one in ward.scores()) > 100


def test_a_threshold_of_its_own_lets_the_population_decide_about_a_source():
    ward = Ward(LEARNING + RUN)
    ward.cluster.publish(control(b"threshold/bed 1", b'{"threshold":0.001}'))
    scores = ward.judge_all().cluster.messages("ecg.scores")
    decided = {one.key: orjson.loads(one.value)["decided_by"] for one in scores}
    assert decided == {b"bed 1": "population", b"bed 2": "personal", b"bed 3": "personal"}


def test_beats_that_nobody_judges_leave_an_open_alarm_as_it_is():
    ward = Ward(LEARNING + "NNNNNVVVVV")
    ward.judge_all()
    assert [one["event"] for one in ward.alerts() if one["source"] == "bed 1"] == ["opened", "updated"]
    ward.cluster.publish(control(b"profile/bed 1", b'{"reset":true}'))
    for message, time_ms in stream("NNNNNNNNNNN"):
        ward.cluster.publish(message, time_ms + 200_000)
    ward.judge_all()
    assert "closed" not in {one["event"] for one in ward.alerts() if one["source"] == "bed 1"}
    assert "closed" in {one["event"] for one in ward.alerts() if one["source"] == "bed 2"}


def test_a_monitor_is_not_ready_while_beats_are_read_again():
    ward = Ward(LEARNING, batch_size=64)
    ward.judge_all()
    ward.start()
    ward.bench.turn(2)
    assert "profiles" in ward.bench.health.ready(ward.bench.time.clock.monotonic())
    ward.bench.turn(20)
    assert "profiles" not in ward.bench.health.ready(ward.bench.time.clock.monotonic())


@pytest.mark.parametrize("is_killed", [False, True])
def test_beats_that_were_left_out_as_too_old_cause_nothing_when_they_complete_a_profile(is_killed):
    ward = Ward(LEARNING, max_age_seconds=60)
    ward.judge_all()
    for message, time_ms in stream("NNNNVVVVVVNNNNNN"):
        ward.cluster.publish(message, time_ms + 200_000)
    ward.bench.time.wall = START_MS / 1000 + 400  # all of them are too old
    ward.judge_all()
    assert ward.bench.metric("shed_records_total") == 3 * 16
    if is_killed:
        ward.start()
    for message, time_ms in stream("N" * 16):
        ward.cluster.publish(message, time_ms + 500_000)
    scores = ward.judge_all().scores()[3 * len(LEARNING) :]
    assert ward.alerts() == []
    assert [one["personal_score"] is not None and one["personal_score"] < 2 for one in scores] == [True] * 3 * 16


def test_a_reset_lets_a_source_learn_anew():
    ward = Ward(LEARNING + RUN)
    ward.judge_all()
    ward.cluster.publish(control(b"profile/bed 1", b'{"reset":true,"by":"Ada"}'))
    for message, time_ms in stream(RUN):
        ward.cluster.publish(message, time_ms + 1_000_000)
    before = len(ward.scores())
    ward.judge_all()
    after = [(one.key, orjson.loads(one.value)) for one in ward.cluster.messages("ecg.scores")][before:]
    assert {key for key, one in after if one["personal_score"] is None} == {b"bed 1"}


KILLS = st.lists(st.integers(1, 9), max_size=6)
LONG = LEARNING + RUN + "VVVVVVFFFFNNNNNN" + "N" * 30 + "NVNVNVNVNVNV" + RUN


@cache
def undisturbed(kinds):
    ward = Ward(kinds).judge_all()
    return facts(ward.alerts()), [one["personal_score"] for one in sorted(ward.scores(), key=place)]


def place(score):
    return score["partition"], score["offset"]


@profile(max_examples=10)
@given(KILLS, st.sampled_from([7, 40, 400]))
@example([1, 1, 1, 1], 40)
def test_alarms_after_kills_are_those_of_an_undisturbed_run_whatever_the_batches(kills, size):
    ward = Ward(LONG, batch_size=size)
    for turns in kills:
        ward.bench.turn(turns)
        ward.start()
    ward.judge_all()
    alerts, scores = undisturbed(LONG)
    assert facts(ward.alerts()) == alerts
    assert [one["personal_score"] for one in sorted(ward.scores(), key=place)] == scores
