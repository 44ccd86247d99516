"""Two members with profiles that share the partitions: kills, rebalances, failures and rewinds lose no alarm."""

from __future__ import annotations

from functools import cache

import orjson
import pytest
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitor.broker import MemoryCluster
from monitor.pipeline.personal import PersonalJudge, episode_rule
from monitor.settings import Settings
from tests.pipeline.test_loop import Bench
from tests.pipeline.test_profiles import LEARNING, RUN, SETTINGS, BatchBroker, control, facts, stream

pytestmark = pytest.mark.slow  # half a minute

LATER_MS = 10_000_000
FIRST, SECOND = LEARNING + RUN, "N" * 20 + RUN + "VVVVVVNNNNNNNNNN" + "N" * 160 + RUN
ACTS = ("turn", "turns", "kill", "leave", "rewind", "fail")
STEPS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(ACTS)), max_size=14)


class Members:
    """Two monitors on one cluster. Each reads and judges only when it is told to."""

    def __init__(self, **changes):
        self._changes = SETTINGS | changes
        self.settings = Settings(**self._changes)
        self.cluster = MemoryCluster(self.settings, partitions=2)
        self.benches = [self._new(), self._new()]

    def _new(self):
        personal, rule = PersonalJudge(self.settings), episode_rule(self.settings, profiles=True)
        broker = BatchBroker(self.cluster, profiles=True)
        return Bench(broker=broker, personal=personal, episode_rule=rule, **self._changes)

    def publish(self, kinds, later_ms=0):
        for message, time_ms in stream(kinds):
            self.cluster.publish(message, time_ms + later_ms)
        return self

    def act(self, number, act):
        bench = self.benches[number]
        if act in ("turn", "turns"):
            bench.turn(1 if act == "turn" else 5)
        elif act == "rewind":
            bench.broker.rewind_next()
        elif act == "fail":
            bench.broker.fail_next(2)
        else:
            self.cluster.evict(bench.broker) if act == "kill" else bench.broker.close()
            self.benches[number] = self._new()

    def judge_all(self, numbers=(0, 1)):
        beats = self.settings.beats_topic
        for _ in range(2000):
            for number in numbers:
                self.benches[number].turn()
            committed = self.cluster.committed()
            if all(committed.get(one) == len(self.cluster.rows(beats, one)) for one in range(2)):
                return self
        raise TimeoutError(f"not all is judged after 2000 turns: {committed}")

    def alerts(self):
        return [orjson.loads(one.value) for one in self.cluster.messages(self.settings.alerts_topic)]

    def personal_scores(self):
        scores = [orjson.loads(one.value) for one in self.cluster.messages(self.settings.scores_topic)]
        return sorted({(one["partition"], one["offset"], one["personal_score"] or 0.0) for one in scores})


def played(first=(), second=(), numbers=(0, 1), **changes):
    """The members after the first beats, control records at that place, and the beats after it."""
    members = Members(**changes).publish(FIRST)
    for step in first:
        members.act(*step)
    members.judge_all(numbers)
    members.cluster.publish(control(b"profile/bed 1", b'{"reset":true}'))
    members.cluster.publish(control(b"threshold/bed 2", b'{"threshold":1.5}'))
    for number in numbers:
        members.benches[number].turn()
    members.publish(SECOND, LATER_MS)
    for step in second:
        members.act(*step)
    return members.judge_all(numbers)


@cache
def undisturbed():
    members = played(numbers=(0,))
    return facts(members.alerts()), members.personal_scores()


def test_the_undisturbed_run_has_alarms_of_both_scores_after_a_reset_and_a_threshold():
    alerts, scores = undisturbed()
    assert sum("'opened'" in one and "'personal'" in one for one in alerts) >= 4
    assert any("'opened'" in one and "'population'" in one and "'bed 2'" in one for one in alerts)
    assert sum(score != 0 for *_, score in scores) > 400


@profile(max_examples=4)
@given(STEPS, STEPS, st.sampled_from([7, 60, 400]))
@example([(0, "turns"), (1, "turn"), (0, "rewind"), (0, "turn"), (1, "kill")], [(1, "turn"), (0, "leave")], 60)
@example([(0, "turns"), (0, "fail"), (0, "turn"), (0, "kill")], [(0, "turn"), (0, "kill"), (1, "turn")], 7)
@example([], [(0, "kill"), (1, "kill")], 400)
def test_alarms_of_two_members_are_those_of_one_that_nothing_disturbs(first, second, size):
    members = played(first, second, batch_size=size)
    alerts, scores = undisturbed()
    assert facts(members.alerts()) == alerts
    assert members.personal_scores() == scores


@profile(max_examples=4)
@given(STEPS, STEPS, st.sampled_from([7, 60, 400]))
@example([(0, "turns"), (0, "rewind"), (0, "turn"), (1, "kill")], [(1, "turn"), (0, "kill")], 60)
def test_at_least_once_may_repeat_alarms_and_loses_none(first, second, size):
    members = played(first, second, batch_size=size, delivery="at-least-once")
    assert set(facts(members.alerts())) == set(undisturbed()[0])
