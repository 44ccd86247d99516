"""Which partitions a member restores, when some of them cannot be restored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from monitor.broker.client import ClientError, CommittedOffset
from monitor.broker.reading.assignment import Assignment
from monitor.broker.topics import profile_rows, state_rows
from monitor.errors import BrokerError
from monitor.records.record import BrokerFacts
from monitor.settings import Settings


class Group:
    """What an Assignment asks of a client; partitions in `bad` do not answer."""

    def __init__(self, partitions, bad=()):
        self.given = list(partitions)
        self.bad = set(bad)
        self.pending = set()  # an open transaction holds their committed offsets back
        self.offsets, self.stopped, self.waits = {}, set(), []
        self.first, self.metadata = 0, "clock=5"

    def assignment(self):
        return frozenset(self.given)

    def partitions(self):
        return len(self.given)

    def beginnings(self, wanted):
        if self.bad & set(wanted):
            raise ClientError("no leader")
        return dict.fromkeys(wanted, self.first)

    def ends(self, wanted):
        return dict.fromkeys(wanted, 100)

    def committed(self, wanted, seconds):
        self.waits.append(seconds)
        if self.pending & set(wanted):
            raise ClientError("an open transaction of the group")
        return {partition: CommittedOffset(10 + partition, self.metadata) for partition in wanted}

    def start(self, offsets):
        self.offsets |= offsets
        self.stopped -= offsets.keys()

    def stop(self, partition):
        self.stopped.add(partition)


class Store:
    topic = state_rows(Settings())

    def __init__(self, held_back=()):
        self.held = set(held_back)

    def held_back(self, partitions):
        return self.held & set(partitions)

    def read(self, partitions, *, is_new_group):  # noqa: ARG002 - it has no rows
        assert not self.held & set(partitions), "it would wait for them"
        return {partition: {} for partition in partitions}


@pytest.fixture
def assignment(monkeypatch):
    stream_time = itertools.count()
    monkeypatch.setattr("monitor.broker.reading.assignment.time.monotonic", lambda: next(stream_time) / 100)
    return Assignment(Settings(), Store())


def test_partitions_are_restored_together_and_the_group_set_to_their_offsets(assignment):
    group = Group(range(3))
    assert {place.offset for place in assignment.restore(group).values()} == {10, 11, 12}
    assert group.offsets == {0: 10, 1: 11, 2: 12}
    assert assignment.restore(group) == {}


def test_what_cannot_be_restored_waits_paused_and_does_not_hold_up_the_others(assignment):
    group = Group(range(8), bad=(0, 1, 2))
    restored = {}
    for _ in range(4):  # polls
        try:
            restored |= assignment.restore(group)
        except BrokerError:
            assert not restored
    assert restored.keys() == {3, 4, 5, 6, 7}
    assert group.stopped == {0, 1, 2}
    assert not assignment.expects(group, 0, np.array([0]))


def test_it_is_restored_once_that_is_possible(assignment):
    group = Group(range(2), bad=(1,))
    assignment.restore(group)
    group.bad.clear()
    restored = {}
    for _ in range(2000):
        restored |= assignment.restore(group)
    assert restored[1].offset == group.offsets[1] == 11
    assert group.stopped == set()


def test_committed_offsets_that_a_transaction_holds_back_are_waited_for_longer_each_time(assignment):
    group = Group([0])
    assignment.restore(group)
    assert group.waits == [3.0]  # nothing else could be read meanwhile
    group.given, group.pending, group.waits = [0, 1], {1}, []
    for _ in range(20_000):
        assignment.restore(group)
    assert group.waits[:5] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert max(group.waits) == 3.0
    group.pending.clear()
    assert next(filter(None, (assignment.restore(group) for _ in range(20_000)))).keys() == {1}


def test_with_nothing_left_to_read_it_says_why(assignment):
    with pytest.raises(BrokerError, match="no leader"):
        assignment.restore(Group([4], bad=(4,)))


def test_a_revoked_partition_is_named_once_and_restored_again(assignment):
    group = Group([0])
    assignment.restore(group)
    assignment.revoke_all()
    assert assignment.revoked() == {0}
    assert assignment.revoked() == set()
    assert assignment.restore(group).keys() == {0}


def test_a_partition_that_brings_nothing_although_records_wait_is_told_after_a_while(assignment):
    assignment.restore(Group([0, 1, 2]))
    told = [assignment.stalled({0: 5, 1: 0, 2: 7}, now) for now in range(100, 130)]
    assignment.expects(Group([2]), 2, np.array([12]))
    told += [assignment.stalled({0: 5, 1: 0, 2: 6}, now) for now in range(130, 135)]
    assert told[:30] == [[]] * 30
    assert told[-1] == [0]


@pytest.mark.usefixtures("assignment")
@pytest.mark.parametrize("topic", ["state", "profiles"])
def test_a_partition_held_back_by_an_open_transaction_is_not_waited_for(caplog, topic):
    state, profiles, group = Store(), ProfileStore(), Group(range(3))
    store = {"state": state, "profiles": profiles}[topic]
    store.held = {1}
    assignment = Assignment(Settings(), state, profiles)
    assert assignment.restore(group).keys() == {0, 2}
    for _ in range(100):
        assert not assignment.restore(group)
    assert group.stopped == {1}
    assert caplog.messages == [f"partition 1 waits for an open transaction on ecg-monitor.{topic} to end"]
    store.held.clear()
    found = [assignment.restore(group) for _ in range(100)]
    assert next(filter(None, found)).keys() == {1}


class ProfileStore(Store):
    topic = profile_rows(Settings())


class FailingStore:
    topic = state_rows(Settings())

    def held_back(self, _):
        return set()

    def read(self, _, **_given):
        raise ClientError("an open transaction")


def test_the_time_of_a_restore_counts_although_it_failed(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr("monitor.broker.reading.assignment.time.monotonic", lambda: float(next(seconds)))
    assignment = Assignment(Settings(), FailingStore())
    with pytest.raises(BrokerError, match="open transaction"):
        assignment.restore(Group([0]))
    facts = assignment.facts()
    assert (facts.restored_sources, facts.restore_seconds) == (0, (1.0,))


def test_what_stood_still_while_nobody_looked_is_not_blamed(assignment):
    assignment.restore(Group([0]))
    assert assignment.stalled({0: 5}, 100) == assignment.stalled({0: 5}, 700) == []


@pytest.fixture
def reading_again():
    """An assignment with profiles, and its group: partition 0 is committed at 10 and read from 5 on."""
    assignment, group = Assignment(Settings(), Store(), ProfileStore()), Group([0])
    group.metadata = "clock=5;from=5;"
    assert assignment.restore(group)[0].read_from == group.offsets[0] == 5
    return assignment, group


@pytest.mark.parametrize(
    ("metadata", "first", "begins"),
    [("clock=5;from=7;", 0, 7), ("clock=5;from=7;", 9, 9), ("clock=5", 0, 10), ("clock=5;", 0, 10), ("", 0, 10)],
)
def test_it_reads_from_where_the_profiles_begin_as_far_as_that_is_kept(metadata, first, begins):
    assignment, group = Assignment(Settings(), Store(), ProfileStore()), Group([0])
    group.metadata, group.first = metadata, first
    (found,) = assignment.restore(group).values()
    assert (found.offset, found.read_from, group.offsets) == (10, begins, {0: begins})
    assert assignment.facts().lost_records == 0


def test_records_that_come_again_count_neither_as_waiting_nor_as_lost(reading_again):
    assignment, group = reading_again
    assert assignment.waiting(0, 5, 12) == 2
    group.first = 8
    assert assignment.expects(group, 0, np.array([8, 9]))
    assert assignment.waiting(0, 10, 12) == 2
    assert assignment.expects(group, 0, np.array([10, 11]))
    assert assignment.facts().offset_resets == 0


def test_a_client_that_passes_over_records_because_older_ones_were_deleted_is_set_back(reading_again):
    assignment, group = reading_again
    group.first = 8
    assert not assignment.expects(group, 0, np.array([100]))  # as MONITOR_OFFSET_RESET=latest makes it
    (found,) = assignment.restore(group).values()
    assert (found.offset, found.read_from, group.offsets) == (10, 8, {0: 8})
    assert assignment.facts().lost_records == 0


def test_of_records_that_come_again_only_those_that_were_not_judged_are_lost(reading_again):
    assignment, group = reading_again
    assignment.facts()
    group.first = 14
    assert assignment.expects(group, 0, np.array([14]))
    assert assignment.facts() == BrokerFacts(offset_resets=1, lost_records=4)
