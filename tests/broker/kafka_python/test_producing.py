"""Messages appended at once become what the client would make of them one by one, with the same outcome."""

from __future__ import annotations

import itertools
from time import time as clock
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import IllegalStateError, KafkaTimeoutError, MessageSizeTooLargeError
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.transaction_manager import TransactionManager
from kafka.record import MemoryRecords

from monitor.broker.writing import producer
from monitor.errors import BrokerError
from monitor.records.record import Message
from monitor.settings import Settings

HERE, THERE = TopicPartition("state", 0), TopicPartition("state", 1)
BATCH_BYTES = 2000
PRODUCER = (7, 3, 41, True)  # id, epoch, first sequence number, transactional


class Accumulator(RecordAccumulator):
    def gathered(self, where):
        return self._batches[where]


class Bench:
    """What a producer is made of, without a network; nobody takes from it what it gathers."""

    def __init__(self, batch_bytes=BATCH_BYTES):
        self.config = {"batch_size": batch_bytes, "compression_type": None}
        self.woken = 0
        self.away = {"gone"}  # topics
        self.sent = []
        self._closed = False
        self._transaction_manager = TransactionManager()
        self.accumulator = self._accumulator = Accumulator(batch_size=batch_bytes)
        self._sender = SimpleNamespace(wakeup=self._wake)
        self._metadata = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1} if topic == "state" else None)

    def _wake(self):
        self.woken += 1

    def _ensure_valid_record_size(self, size):
        assert size > 0

    def _partition(self, _topic, partition, key, *_):
        return len(key) % 2 if partition is None else partition

    def send(self, topic, *, key, value, **_):
        if topic in self.away:
            raise KafkaTimeoutError
        self.sent.append(value)
        return self.accumulator.append(TopicPartition(topic, 0), None, key if type(key) is bytes else None, value, [])[
            0
        ]

    def batches(self, where=HERE):
        return list(self.accumulator.gathered(where))

    def drain(self):
        """The only batch, as the client takes it to be sent."""
        (batch,) = self.batches()
        self.accumulator.gathered(HERE).clear()
        batch.records.set_producer_state(*PRODUCER)
        batch.records.close()
        return batch


def send_all(bench, some):
    return producer.send_all(bench, some, is_patched=True)


def messages(count, size=100, partition=0):
    return [Message("state", b"bed-%d" % number, bytes(size), partition=partition) for number in range(count)]


def sealed(batch):
    """Its bytes as they are sent."""
    batch.records.set_producer_state(*PRODUCER)
    batch.records.close()
    return bytes(batch.records.buffer())


keys = st.none() | st.binary(max_size=12) | st.binary(min_size=60, max_size=300)
values = st.none() | st.binary(max_size=80) | st.integers(0, 3000).map(bytes)
headers = st.lists(st.tuples(st.text(max_size=70), st.none() | st.binary(max_size=90)), max_size=3).map(tuple)
some_messages = st.lists(
    st.builds(
        Message,
        st.just("state"),
        keys,
        values,
        st.just(()) | headers,
        st.booleans(),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=30,
)


@given(some_messages, st.sampled_from([200, BATCH_BYTES, 10**6]))
@example(messages(300, 1), 10**6)
@example([Message("state", b"", bytes(20_000), partition=0), *messages(1)], 200)
def test_the_batches_are_byte_for_byte_those_of_the_clients_own_path(some, batch_bytes):
    ours, theirs = Bench(batch_bytes), Bench(batch_bytes)
    began_ms = int(1000 * clock())
    batches = list(send_all(ours, some))
    ended_ms = 1000 * clock()
    made = {where: [sealed(batch) for batch in ours.batches(where)] for where in (HERE, THERE)}
    assert [list(one.messages) for one in batches] == _told(made, some)
    (time,) = {record.timestamp for raws in made.values() for raw in raws for record in _records(raw)}
    assert began_ms <= time <= ended_ms
    for message in some:
        fields = [(name, value or b"") for name, value in message.headers]
        where = TopicPartition(message.topic, message.partition)
        theirs.accumulator.append(where, time, message.key, message.value, fields)
    assert made == {where: [sealed(batch) for batch in theirs.batches(where)] for where in (HERE, THERE)}


def _records(raw):
    return [record for batch in MemoryRecords(raw) for record in batch]


def _told(made, some):
    """Which messages are in which batch, by how many records each holds."""
    found = []
    for where in dict.fromkeys(TopicPartition(message.topic, message.partition) for message in some):
        there = iter([message for message in some if message.partition == where.partition])
        found += [list(itertools.islice(there, len(_records(raw)))) for raw in made[where]]
    return found


def test_the_client_is_woken_once_for_all_of_them():
    bench = Bench()
    assert len(list(send_all(bench, [*messages(50), *messages(50, partition=1)]))) > 2
    assert (bench.woken, bench.sent) == (1, [])


def test_a_topic_that_is_new_to_the_client_is_left_to_its_own_send():
    bench = Bench()
    batches = list(send_all(bench, [Message("other", b"key", b"1"), *messages(2)]))
    assert bench.sent == [b"1"]
    assert sorted(len(one) for one in batches) == [1, 2]


def test_a_null_key_is_left_to_the_clients_own_send_and_keeps_its_place():
    bench = Bench()
    batches = list(send_all(bench, [*messages(2), Message("state", None, b"2"), *messages(3)]))
    assert bench.sent == [b"2"]
    assert [len(one) for one in batches] == [2, 1, 3]
    assert [len(_records(sealed(batch))) for batch in bench.batches()] == [2, 1, 3]


def test_what_is_handed_in_again_sends_only_what_was_not_handed_on(monkeypatch):
    bench = Bench()
    monkeypatch.setattr(producer, "build_producer", lambda *_: bench)
    monkeypatch.setattr(producer, "WAIT_SECONDS", 0.0)
    box, delivery = (
        producer.AcknowledgedProducer(Settings()),
        (*messages(3), Message("gone", b"key", b"1"), *messages(2)),
    )
    with pytest.raises(BrokerError, match="sending alerts"):
        box.deliver(delivery)
    bench.away = set()
    with pytest.raises(BrokerError, match="6 of 6 messages are not acknowledged"):
        box.deliver(delivery)
    assert [batch.record_count for batch in bench.batches()] == [3, 2]
    for batch in [*bench.batches(), *bench.batches(TopicPartition("gone", 0))]:
        batch.complete(100, -1)
    box.deliver(delivery)
    assert bench.sent == [b"1"]


def test_a_client_that_is_not_patched_is_given_them_one_by_one():
    bench = Bench()
    batches = list(producer.send_all(bench, messages(3, 1), is_patched=False))
    assert bench.sent == [bytes(1)] * 3
    assert [len(one) for one in batches] == [1, 1, 1]


def test_a_batch_that_is_acknowledged_acknowledges_all_its_messages():
    bench, some = Bench(), messages(3)
    (one,) = send_all(bench, some)
    assert (one.has_failed, one.unacknowledged()) == (False, some)
    with pytest.raises(KafkaTimeoutError):
        one.get(timeout=0)
    (batch,) = bench.batches()
    batch.complete(100, -1)
    one.get(timeout=0)
    assert (one.has_failed, one.unacknowledged()) == (False, [])


def test_a_batch_that_is_refused_hands_its_error_to_all_its_messages():
    bench, some = Bench(), messages(3)
    (one,) = send_all(bench, some)
    (batch,) = bench.batches()
    batch.complete_exceptionally(MessageSizeTooLargeError(), lambda _: MessageSizeTooLargeError())
    with pytest.raises(MessageSizeTooLargeError):
        one.get(timeout=0)
    assert (one.has_failed, one.unacknowledged()) == (True, some)


def test_of_a_batch_that_the_client_splits_each_half_fares_by_itself():
    bench, some = Bench(), messages(8)
    (one,) = send_all(bench, some)
    bench.accumulator.split_and_reenqueue(bench.drain())
    first, second = bench.batches()
    assert [[record.key for record in _records(sealed(half))] for half in (first, second)] == [
        [message.key for message in half] for half in (some[:4], some[4:])
    ]
    with pytest.raises(KafkaTimeoutError):
        one.get(timeout=0)
    first.complete(100, -1)
    assert (one.has_failed, one.unacknowledged()) == (False, some[4:])
    second.complete_exceptionally(MessageSizeTooLargeError(), lambda _: MessageSizeTooLargeError())
    with pytest.raises(MessageSizeTooLargeError):
        one.get(timeout=0)
    assert one.unacknowledged() == some[4:]


def test_a_producer_that_is_closed_takes_nothing():
    bench = Bench()
    bench.accumulator.close()
    with pytest.raises(IllegalStateError):
        list(send_all(bench, messages(1)))
    assert bench.batches() == []
