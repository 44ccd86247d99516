"""Which partitions a member takes, when some of them cannot be taken."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kafka import OffsetAndMetadata, TopicPartition

from monitor.broker.assignment import Assignment, committed_stream_time, offset_to_commit
from monitor.errors import BrokerError
from monitor.settings import Settings


class Consumer:
    """What a seat asks of a consumer; partitions in `bad` do not answer."""

    def __init__(self, partitions, bad=()):
        self.partitions = [TopicPartition("beats", partition) for partition in partitions]
        self.bad = set(bad)
        self.places, self.paused = {}, set()

    def assignment(self):
        return set(self.partitions)

    def beginning_offsets(self, wanted, _timeout_ms=None):
        if any(tp.partition in self.bad for tp in wanted):
            raise TimeoutError("no leader")
        return dict.fromkeys(wanted, 0)

    def end_offsets(self, wanted, _timeout_ms=None):
        return dict.fromkeys(wanted, 100)

    def committed(self, tp, **_):
        return OffsetAndMetadata(10 + tp.partition, "clock=5", -1)

    def seek(self, tp, offset):
        self.places[tp.partition] = offset

    def pause(self, tp):
        self.paused.add(tp.partition)

    def resume(self, tp):
        self.paused.discard(tp.partition)


class Store:
    def read(self, partitions):
        return {partition: {} for partition in partitions}


@pytest.fixture
def seats(monkeypatch):
    stream_time = itertools.count()
    monkeypatch.setattr("monitor.broker.assignment.time.monotonic", lambda: next(stream_time) / 100)
    return Assignment(Settings(), Store())


def test_partitions_are_taken_together_and_the_consumer_set_to_their_places(seats):
    consumer = Consumer(range(3))
    assert {place.offset for place in seats.take(consumer).values()} == {10, 11, 12}
    assert consumer.places == {0: 10, 1: 11, 2: 12}
    assert seats.take(consumer) == {}


def test_what_cannot_be_taken_waits_paused_and_does_not_hold_up_the_others(seats):
    consumer = Consumer(range(8), bad=(0, 1, 2))
    taken = {}
    for _ in range(4):  # polls
        try:
            taken |= seats.take(consumer)
        except BrokerError:
            assert not taken
    assert taken.keys() == {3, 4, 5, 6, 7}
    assert consumer.paused == {0, 1, 2}
    assert not seats.expects(consumer, consumer.partitions[0], np.array([0]))


def test_it_is_taken_once_that_is_possible(seats):
    consumer = Consumer(range(2), bad=(1,))
    seats.take(consumer)
    consumer.bad.clear()
    taken = {}
    for _ in range(2000):
        taken |= seats.take(consumer)
    assert taken[1].offset == consumer.places[1] == 11
    assert consumer.paused == set()


def test_with_nothing_left_to_read_it_says_why(seats):
    with pytest.raises(BrokerError, match="no leader"):
        seats.take(Consumer([4], bad=(4,)))


def test_a_partition_given_up_is_told_once_and_taken_anew(seats):
    consumer = Consumer([0])
    seats.take(consumer)
    seats.lose_all()
    assert seats.revoked() == {0}
    assert seats.revoked() == set()
    assert seats.take(consumer).keys() == {0}


def test_a_partition_that_brings_nothing_although_records_wait_is_told_after_a_while(seats):
    seats.take(Consumer([0, 1, 2]))
    told = [seats.stalled({0: 5, 1: 0, 2: 7}, now) for now in range(100, 130)]
    seats.expects(Consumer([2]), TopicPartition("beats", 2), np.array([12]))
    told += [seats.stalled({0: 5, 1: 0, 2: 6}, now) for now in range(130, 135)]
    assert told[:30] == [[]] * 30
    assert told[-1] == [0]


def test_what_stood_still_while_nobody_looked_is_not_blamed(seats):
    seats.take(Consumer([0]))
    assert seats.stalled({0: 5}, 100) == seats.stalled({0: 5}, 700) == []


@pytest.mark.parametrize("stream_time", [None, 0, -5, 1_764_000_000_000])
def test_the_stream_time_is_committed_with_the_offset(stream_time):
    assert committed_stream_time(offset_to_commit(7, stream_time).metadata) == stream_time


@pytest.mark.parametrize("metadata", [None, "", "x", "clock=", "clock=x", "clock=1.5", "clock=" + "9" * 40])
def test_metadata_of_somebody_else_is_no_clock(metadata):
    assert committed_stream_time(metadata) is None
