"""Appends all messages of a step to the producer at once. For speed alone.

`send` of kafka-python 3.0.12 takes about 15 µs for a message, in the calling thread: locks, a future, and a record
built byte by byte. This module makes whole batches of the client's own class from the messages of a partition, with
the same bytes in them. The client numbers, sends, splits and acknowledges them like its own; its thread is woken once.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.errors import IllegalStateError, KafkaTimeoutError

from monitor.broker.kafka_python import known_versions
from monitor.broker.varint import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.records.record import Message

MAGIC = 2
NULL = b"\x01"  # the length of nothing
PLAIN = b"\0\0"  # no attributes, and the timestamp of its batch


class MessageBatch:
    """Messages that are acknowledged or refused together, unless the client splits their batch as too large.

    The client sees a list of futures, one for each message. It reads them only when it splits the batch, so they are
    made only then.
    """

    def __init__(self, messages: Sequence[Message], produced: Any, futures: list[Any] | None = None) -> None:
        """`futures`: of each message, where the client made them."""
        self.messages = messages
        self._produced, self._futures = produced, futures

    def __len__(self) -> int:
        return len(self.messages)

    def __getitem__(self, index: int) -> Any:
        if self._futures is None:
            from kafka.producer.future import FutureRecordMetadata  # noqa: PLC0415 - not where nothing is patched

            self._futures = [
                FutureRecordMetadata(self._produced, offset, None, None, -1, -1, -1) for offset in range(len(self))
            ]
        return self._futures[index]

    def get(self, timeout: float) -> None:
        """Wait until all of it is acknowledged. Raises the client's error when any is refused, or not in time."""
        deadline = time.monotonic() + timeout
        if self._futures is None and not self._produced.wait(timeout):
            raise KafkaTimeoutError(f"Timeout after waiting for {timeout:g} secs.")
        for one in self._futures or ():  # a split makes all of them before it wakes a waiting thread
            one.get(timeout=max(0.0, deadline - time.monotonic()))
        if self._futures is None and (error := self._error(0)):
            raise error

    def _error(self, index: int) -> Exception | None:
        refused = self._produced.value[2]
        return refused(index) if refused else None

    @property
    def has_failed(self) -> bool:
        """Whether any of it has failed for good."""
        if self._futures is None:
            return bool(self._produced.is_done and self._error(0))
        return any(one.failed() for one in self._futures)

    def unacknowledged(self) -> list[Message]:
        """Messages that were refused, or have no answer yet."""
        if self._futures is None:
            is_done = self._produced.is_done and self._error(0) is None
            return [] if is_done else list(self.messages)
        return [message for message, one in zip(self.messages, self._futures, strict=True) if not one.succeeded()]


def partition_of(producer: Any, message: Message) -> TopicPartition | None:
    """Where a message goes; None where only the client's `send` can tell: a new topic, or a null key."""
    known_versions.require_known()
    topic, key, partition = message.topic, message.key, message.partition
    if producer._metadata.partitions_for_topic(topic) is None or (key is None and partition is None):
        return None
    chosen = producer._partition(topic, partition, key, None, key, None)
    return None if chosen is None else TopicPartition(topic, chosen)


def append(producer: Any, placed: Mapping[TopicPartition, Sequence[Message]]) -> list[MessageBatch]:
    """What the client's `send` does for one message, once for all of them; `placed`: messages by partition."""
    if not placed:  # as where nothing could be placed, since the client is not patched
        return []
    known_versions.require_known()
    manager, accumulator = producer._transaction_manager, producer._accumulator
    if producer._closed or accumulator._closed:
        raise IllegalStateError("KafkaProducer already closed!")
    now_ms, limit = int(time.time() * 1000), producer.config["batch_size"]
    batches = [batch for where, some in placed.items() for batch in _batches(where, some, limit, now_ms)]
    producer._ensure_valid_record_size(max(batch.records.size_in_bytes() for batch in batches))
    if manager and manager.is_transactional():
        for where in placed:
            manager.maybe_add_partition_to_transaction(where)
    accumulator._appends_in_progress.increment()
    try:
        for batch in batches:
            with accumulator._tp_lock(batch.topic_partition):
                accumulator._batches[batch.topic_partition].append(batch)
                accumulator._incomplete.add(batch)
    finally:
        accumulator._appends_in_progress.decrement()
    producer._sender.wakeup()
    return [batch._record_futures for batch in batches]


def _batches(where: TopicPartition, messages: Sequence[Message], limit: int, now_ms: int) -> Iterator[Any]:
    """The client's batches, each with a MessageBatch; none is larger than `limit` bytes unless a single record is.

    The client's internal modules are imported here, so that this module can be imported where they have other names.
    """
    from kafka.producer.producer_batch import ProducerBatch  # noqa: PLC0415
    from kafka.record.default_records import DefaultRecordBatchBuilder  # noqa: PLC0415
    from kafka.record.memory_records import MemoryRecordsBuilder  # noqa: PLC0415

    start = 0
    while start < len(messages):
        raw = records(islice(messages, start, None), limit - DefaultRecordBatchBuilder.header_size_in_bytes())
        count = len(raw)
        built = MemoryRecordsBuilder(MAGIC, 0, limit)
        fill(built, raw, now_ms)
        batch = ProducerBatch(where, built)
        batch._record_futures = MessageBatch(messages[start : start + count], batch.produce_future)
        start += count
        yield batch


def fill(built: Any, raw: Sequence[bytes], now_ms: int) -> None:
    """Leave a new builder as if these records had been appended one by one and it were full."""
    inner, count = built._builder, len(raw)
    inner._buffer += b"".join(raw)
    inner._num_records, inner._last_offset = count, count - 1
    inner._first_timestamp = inner._max_timestamp = now_ms
    inner._batch_size = 0  # the client's `send` adds nothing to it
    built._next_offset = count


def records(messages: Iterator[Message], limit: int) -> list[bytes]:
    """As many messages as fit into `limit` bytes, at least one, as records with the timestamp of their batch.

    https://kafka.apache.org/documentation/#record
    """
    found: list[bytes] = []
    for offset, message in enumerate(messages):
        key, value = message.key, message.value
        body = b"".join(
            (
                PLAIN,
                encode(offset),
                NULL if key is None else encode(len(key)) + key,
                NULL if value is None else encode(len(value)) + value,
                _headers(message) if message.headers else b"\0",
            )
        )
        record = encode(len(body)) + body
        limit -= len(record)
        if limit < 0 and found:
            break
        found.append(record)
    return found


def _headers(message: Message) -> bytes:
    pieces = [encode(len(message.headers))]
    for name, value in message.headers:
        raw = name.encode()
        pieces += encode(len(raw)), raw, encode(len(value or b"")), value or b""  # the client cannot write a null one
    return b"".join(pieces)
