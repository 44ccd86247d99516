"""Records, ends of partitions and errors, as a consumer returns them."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Message

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.record_stream import RecordStream

CODES = {KafkaError(code).name(): code for code in range(-200, 150)}


class Scripted:
    """A consumer that returns what the test has given it."""

    def __init__(self, *messages):
        self.waiting = list(messages)

    def consume(self, count, _seconds):
        came, self.waiting = self.waiting[:count], self.waiting[count:]
        return came


def record(partition, offset):
    return Message("beats", partition, offset, b"bed", b"beat", None, None, (1, 0))


def event(name, partition, offset=0):
    return Message("beats", partition, offset, error=KafkaError(CODES[name]))


def stream(*messages, **positions):
    made = RecordStream(Scripted(*messages), "beats", "reading beats", lambda wanted: dict.fromkeys(wanted, 100))
    made.positions = {int(name.removeprefix("p")): offset for name, offset in positions.items()}
    return made


def offsets(messages):
    return [message.offset() for message in messages]


def test_records_come_as_they_are():
    assert offsets(stream(record(0, 1), record(1, 5)).take(10, 0)) == [1, 5]


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_not_more_come_than_were_asked_for(seconds):
    some = stream(*(record(0, offset) for offset in range(5)))
    assert [offsets(some.take(2, seconds)) for _ in range(3)] == [[0, 1], [2, 3], [4]]
    assert stream(record(0, 1)).take(0, seconds) == []


def test_the_end_of_a_partition_is_no_record_and_moves_its_position():
    some = stream(record(0, 1), event("_PARTITION_EOF", 0, 4), event("_PARTITION_EOF", 1, 9), p0=1)
    assert offsets(some.take(10, 0)) == [1]
    assert some.positions == {0: 4}  # partition 1 is not read
    some.raise_failure()


@pytest.mark.parametrize("name", ["_TRANSPORT", "_TIMED_OUT", "UNKNOWN_TOPIC_OR_PART", "_MAX_POLL_EXCEEDED"])
def test_an_error_that_the_library_gets_over_is_not_raised(name):
    some = stream(event(name, 0), record(0, 1))
    assert offsets(some.take(10, 0)) == [1]
    some.raise_failure()


def test_records_before_a_damaged_one_come_first_and_none_after_it():
    some = stream(event("_BAD_MSG", 0, 2), record(0, 0), record(0, 1), record(0, 3), record(1, 8))
    assert offsets(some.take(10, 0)) == [0, 1, 8]
    with pytest.raises(ClientError, match="reading beats: ") as caught:
        some.raise_failure()
    assert caught.value.failure is Failure.UNREADABLE
    some.raise_failure()  # once


def test_a_position_does_not_move_back_when_the_end_of_a_log_came_with_its_last_record():
    some = stream(record(0, 360), event("_PARTITION_EOF", 0, 362), p0=360)
    assert offsets(some.take(10, 0)) == [360]
    some.move(0, 361)  # as a reader does after the last record
    assert some.positions == {0: 362}
