"""What the worker relies on: held by Kafka, by the embedded broker and by the fake alike."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from monitor.broker import Publisher, Reader
from monitor.records.record import Checkpoint, Message
from tests.fakes import FakeBroker, kafka_broker, records

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.broker import Broker
    from monitor.records.record import Records

LIMIT_SECONDS = 60


@dataclass
class Case:
    """A broker whose topic holds the given values under the key `source`, and how to look at what it did."""

    open: Callable[[], Broker]
    sent: Callable[[], list[tuple[bytes | None, bytes | None, tuple]]]
    topic: str


@pytest.fixture(params=["fake", "real"])
def case(request) -> Callable[[list[bytes]], Case]:
    if request.param == "fake":
        return _fake
    make_settings = request.getfixturevalue("make_settings")
    return lambda values: _real(make_settings(partitions=1), values)


def _fake(values):
    log, committed, delivered = records(values), {}, []

    def open_broker():
        broker = FakeBroker([log.select(log.offset >= committed.get(0, 0))])
        broker.committed, broker.delivered = committed, delivered
        return broker

    return Case(open_broker, lambda: [(m.key, m.value, m.headers) for m in delivered], "ecg.alerts")


def _real(settings, values):
    with closing(Publisher(settings)) as publisher:
        for value in values:
            publisher.send(Message(settings.beats_topic, b"source", value))
        publisher.flush()

    def sent():
        with Reader(settings, settings.alerts_topic, from_beginning=True) as reader:
            return [(r.key, r.value, tuple(r.headers)) for r in reader.until_end()]

    return Case(lambda: kafka_broker(settings), sent, settings.alerts_topic)


def read(broker: Broker, count: int) -> list[Records]:
    found, deadline = [], time.monotonic() + LIMIT_SECONDS
    while sum(map(len, found)) < count and time.monotonic() < deadline:
        found.append(broker.poll())
    return [one for one in found if len(one)]


def values_of(batches: list[Records]) -> list[bytes | None]:
    return [value for batch in batches for value in batch.value]


def test_records_come_in_order_as_columns_of_one_length(case):
    with closing(case([b"one", b"two", b"three"]).open()) as broker:
        batches = read(broker, 3)
    assert values_of(batches) == [b"one", b"two", b"three"]
    assert [offset for batch in batches for offset in batch.offset.tolist()] == [0, 1, 2]
    for batch in batches:
        assert len(batch) == len(batch.key) == len(batch.headers) == len(batch.partition) == len(batch.time)
        assert set(batch.key) == {b"source"}


def test_what_was_delivered_is_not_read_again_by_the_next_member(case):
    one = case([b"one", b"two", b"three"])
    with closing(one.open()) as broker:
        read(broker, 3)
        broker.deliver(Checkpoint(offsets={0: 2}))
    with closing(one.open()) as broker:
        assert values_of(read(broker, 1)) == [b"three"]


def test_what_was_not_delivered_is_read_again(case):
    one = case([b"one", b"two"])
    with closing(one.open()) as broker:
        read(broker, 2)
    with closing(one.open()) as broker:
        assert values_of(read(broker, 2)) == [b"one", b"two"]


def test_messages_arrive_with_key_value_and_headers_nulls_included(case):
    one = case([b"one"])
    messages = (
        Message(one.topic, b"key", b"value", (("reason", b"because"),)),
        Message(one.topic, b"key", None),
        Message(one.topic, None, b"value"),
        Message(one.topic, None, None, (("both", b"null"),)),
    )
    with closing(one.open()) as broker:
        read(broker, 1)
        broker.deliver(Checkpoint(messages, offsets={0: 1}))
    assert one.sent() == [(m.key, m.value, m.headers) for m in messages]


def test_the_same_delivery_handed_in_twice_is_sent_once(case):
    one = case([b"one"])
    delivery = Checkpoint((Message(one.topic, b"key", b"value"),), offsets={0: 1})
    with closing(one.open()) as broker:
        read(broker, 1)
        broker.deliver(delivery)
        broker.deliver(delivery)
    assert [value for _, value, _ in one.sent()] == [b"value"]


def test_a_delivery_that_was_begun_is_sent_once_while_reading_goes_on(case):
    one = case([b"one", b"two", b"three"])
    with closing(one.open()) as broker:
        read(broker, 3)
        first = Checkpoint((Message(one.topic, b"key", b"first"),), offsets={0: 1})
        broker.begin(first)
        broker.begin(first)
        broker.poll()
        broker.deliver(first)
        broker.deliver(first)
        second = Checkpoint((Message(one.topic, b"key", b"second"),), offsets={0: 2})
        broker.begin(second)
        broker.deliver(second)
    assert [value for _, value, _ in one.sent()] == [b"first", b"second"]
    with closing(one.open()) as broker:
        assert values_of(read(broker, 1)) == [b"three"]


def test_a_member_that_reads_has_joined(case):
    with closing(case([b"one"]).open()) as broker:
        read(broker, 1)
        assert broker.joined()
