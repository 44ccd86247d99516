"""`BufferedPublisher`: its caller never waits, every record is sent or counted."""

from __future__ import annotations

import threading

import pytest

from monitor.broker.client import ClientError, Failure
from monitor.broker.writing.buffered_publisher import BufferedPublisher, Loss
from monitor.errors import BrokerError, RefusedError
from monitor.records.record import Message
from tests.fakes import FakePublisher

LIMIT_SECONDS = 30.0


class ClosedPublisher(FakePublisher):
    """Waits in its first flush until the test opens it."""

    def __init__(self, taken):
        super().__init__(taken)
        self.is_waiting, self.may_go_on = threading.Event(), threading.Event()

    def flush(self, seconds=0.0):
        self.is_waiting.set()
        assert self.may_go_on.wait(LIMIT_SECONDS)
        super().flush(seconds)


def beat(number):
    return Message("ecg.beats", b"bed-7", b"%d" % number)


def numbers(taken):
    return [int(one.message.value) for one in taken]


def published(publisher, connect, count=3):
    buffered = BufferedPublisher(publisher, connect, pause_seconds=0)
    for number in range(count):
        buffered.send(beat(number), 1000 * number)
    buffered.close(LIMIT_SECONDS)
    return buffered


def no_connection():
    raise BrokerError("nobody is there")


def test_records_are_sent_in_order_with_their_times():
    taken = []
    buffered = published(FakePublisher(taken), no_connection)
    assert numbers(taken) == [0, 1, 2]
    assert [one.time_ms for one in taken] == [0, 1000, 2000]
    assert (buffered.published, buffered.left(), buffered.dropped) == (3, Loss(), Loss())


def test_after_a_failure_what_is_missing_goes_through_a_new_publisher():
    taken = []
    first = FakePublisher(taken, [BrokerError("the leader moved")])
    attempts = [BrokerError("nobody is there"), FakePublisher(taken)]

    def connect():
        one = attempts.pop(0)
        if isinstance(one, BrokerError):
            raise one
        return one

    buffered = published(first, connect)
    assert numbers(taken) == [0, 1, 2]
    assert buffered.published == 3
    assert not first.is_open


def test_what_is_only_late_is_waited_for_and_not_sent_twice():
    taken = []
    late = ClientError("no answer came", Failure.LATE)
    assert published(FakePublisher(taken, [late, late]), no_connection).published == 3
    assert numbers(taken) == [0, 1, 2]


def test_a_full_buffer_drops_the_oldest_and_counts_them():
    taken = []
    publisher = ClosedPublisher(taken)
    buffered = BufferedPublisher(publisher, no_connection, limit=2)
    buffered.send(beat(0), 0)
    assert publisher.is_waiting.wait(LIMIT_SECONDS)
    for number in range(1, 6):
        buffered.send(beat(number), 1000 * number)
    assert buffered.dropped == Loss(3, 1000, 3000)
    assert buffered.left() == Loss(3, 0, 5000)
    publisher.may_go_on.set()
    buffered.close(LIMIT_SECONDS)
    assert numbers(taken) == [0, 4, 5]


def test_what_cannot_be_sent_until_the_end_is_reported():
    publisher = ClosedPublisher([])
    buffered = BufferedPublisher(publisher, no_connection)
    buffered.send(beat(0), 7)
    assert publisher.is_waiting.wait(LIMIT_SECONDS)
    buffered.close(0)
    assert buffered.left() == Loss(1, 7, 7)
    publisher.may_go_on.set()


@pytest.mark.parametrize(
    "fault", [ClientError("INVALID_TIMESTAMP", Failure.BAD_RECORD), RefusedError("the password is wrong")]
)
def test_what_will_never_work_ends_it(fault):
    with pytest.raises(type(fault), match=str(fault)):
        published(FakePublisher([], [fault]), no_connection)
