"""What is known of messages that were given to a producer, without a broker."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.client_errors import error_of
from monitor.broker.confluent.producer import Batching, ConfluentSending, DeliveryReports, TransactionSending
from monitor.records.record import Message

TOO_LARGE, PURGED, FENCED = KafkaError(10), KafkaError(-152), KafkaError(-144, "fenced", fatal=True)
MESSAGES = [Message("alerts", b"bed", b"%d" % number) for number in range(3)]


class Scripted:
    """A producer of the library; each poll calls the next of the test's functions."""

    def __init__(self, *calls):
        self.calls = list(calls)

    def poll(self, _seconds):
        if self.calls:
            self.calls.pop(0)()


def fence():
    raise KafkaException(FENCED)


def sending(kind, *calls):
    producer = Scripted()
    made = kind(DeliveryReports(producer), MESSAGES, *([error_of] if kind is TransactionSending else []))
    producer.calls = [call if call is fence else lambda call=call: made.hear(*call) for call in calls]
    return made


def soon():
    return time.monotonic() + 0.05


def test_acknowledged_messages_are_done():
    made = sending(ConfluentSending, (0, None), (2, None), (1, None))
    made.wait(time.monotonic() + 60)
    assert made.unacknowledged() == []


def test_messages_without_an_answer_are_late():
    made = sending(ConfluentSending, (1, None))
    with pytest.raises(ClientError, match="no answer came for 2 messages") as caught:
        made.wait(soon())
    assert caught.value.failure is Failure.LATE
    assert made.unacknowledged() == [MESSAGES[0], MESSAGES[2]]


def test_all_that_failed_are_known_when_the_first_failure_is_raised():
    made = sending(ConfluentSending, (1, TOO_LARGE), (0, None), (2, TOO_LARGE))
    with pytest.raises(ClientError) as caught:
        made.wait(time.monotonic() + 60)
    assert caught.value.failure is Failure.TOO_LARGE
    assert made.unacknowledged() == MESSAGES[1:]


def test_a_fatal_error_is_raised_where_messages_have_no_answer():
    with pytest.raises(ClientError) as caught:
        sending(ConfluentSending, fence).wait(soon())
    assert caught.value.failure is Failure.FENCED


def test_a_transaction_does_not_wait_for_its_messages():
    made = sending(TransactionSending)
    made.wait(time.monotonic() + 60)
    assert made.unacknowledged() == MESSAGES


@pytest.mark.parametrize(
    ("call", "failure"), [((TOO_LARGE,), Failure.TOO_LARGE), (fence, Failure.FENCED)], ids=["too large", "fenced"]
)
def test_a_transaction_raises_what_is_known_to_have_failed(call, failure):
    with pytest.raises(ClientError) as caught:
        sending(TransactionSending, call).wait(soon())
    assert caught.value.failure is failure


@pytest.mark.parametrize("order", [0, 1])
def test_the_error_that_made_the_others_fail_is_raised(order):
    reports = [(PURGED,), (TOO_LARGE,)]
    with pytest.raises(ClientError) as caught:
        sending(TransactionSending, *(reports if order else reports[::-1])).wait(soon())
    assert caught.value.failure is Failure.TOO_LARGE


def test_batches_become_smaller_until_one_message_alone_is_too_large():
    batching, sizes = Batching(), []
    while True:
        sizes.append(batching.options())
        if not batching.refused():
            break
    assert [list(size) for size in sizes] == [["batch.size"], ["batch.size"], ["batch.num.messages"]]
    assert batching.options() == sizes[0]


def test_batches_of_one_message_are_left_after_a_transaction():
    batching = Batching()
    assert batching.refused()
    assert batching.refused()
    batching.committed()
    assert list(batching.options()) == ["batch.size"]
