"""Hands a whole delivery to the producer at once, where the client's `send` takes each message by itself.

kafka-python 3.0.12 spends some 15 µs on a message, in the thread that walks the line: locks, a future, and a record
put together byte by byte. Here the messages of a partition become whole batches of the client's own, with the same
bytes in them, which it numbers, sends, splits and acknowledges as ever; and one wakeup of its thread stands for all.

As `bulk`, it does so only for files of the client that it knows, and leaves every other version to its `send`.
"""

from __future__ import annotations

import time
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.errors import IllegalStateError, KafkaTimeoutError
from kafka.producer import future, producer_batch, record_accumulator, sender, transaction_manager
from kafka.producer import kafka as producer_module
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.record import default_records, memory_records, util
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import encode_varint

from monitor.broker.kafka_python.fetching import is_known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.records.record import Message

KNOWN = {  # SHA-256 of the files below
    "7ca703f0a6565857de8f78e940509f28371ce7e3f8f14d53e06167deb8d492af",  # 3.0.12
}
FILES = (
    producer_module,
    record_accumulator,
    producer_batch,
    future,
    sender,
    transaction_manager,
    default_records,
    memory_records,
    util,
)
MAGIC = 2
NULL = b"\x01"  # the length of nothing
PLAIN = b"\0\0"  # no attributes, and stamped when its batch was


@cache
def fits() -> bool:
    """Whether the client is one that is known here; the warning comes once."""
    return is_known(FILES, KNOWN, "it is handed messages one by one, slowly")


class MessageBatch:
    """Messages that are acknowledged or refused together, unless the client finds their batch too large and splits it.

    To the client it is the list of its batch's futures, which only a split looks at: so they are made only then.
    """

    def __init__(self, messages: Sequence[Message], produced: Any, futures: list[Any] | None = None) -> None:
        """`futures`: of each message, where the client made them."""
        self.messages = messages
        self._produced, self._futures = produced, futures

    def __len__(self) -> int:
        return len(self.messages)

    def __getitem__(self, place: int) -> Any:
        if self._futures is None:
            self._futures = [
                FutureRecordMetadata(self._produced, offset, None, None, -1, -1, -1) for offset in range(len(self))
            ]
        return self._futures[place]

    def get(self, timeout: float) -> None:
        """Return when all of it is acknowledged; raises the client's error when any is not, or not in time."""
        deadline = time.monotonic() + timeout
        if self._futures is None and not self._produced.wait(timeout):
            raise KafkaTimeoutError(f"Timeout after waiting for {timeout:g} secs.")
        for one in self._futures or ():  # before a split wakes anybody, they are all there
            one.get(timeout=max(0.0, deadline - time.monotonic()))
        if self._futures is None and (error := self._error(0)):
            raise error

    def _error(self, place: int) -> Exception | None:
        refused = self._produced.value[2]
        return refused(place) if refused else None

    @property
    def has_failed(self) -> bool:
        """Whether any of it has failed for good."""
        if self._futures is None:
            return bool(self._produced.is_done and self._error(0))
        return any(one.failed() for one in self._futures)

    def unacknowledged(self) -> list[Message]:
        if self._futures is None:
            is_taken = self._produced.is_done and self._error(0) is None
            return [] if is_taken else list(self.messages)
        return [message for message, one in zip(self.messages, self._futures, strict=True) if not one.succeeded()]


def place(producer: Any, message: Message) -> TopicPartition | None:
    """Where a message goes; None where only the client's `send` can tell: a new topic, or a key that is null."""
    topic, key, partition = message.topic, message.key, message.partition
    if producer._metadata.partitions_for_topic(topic) is None or (key is None and partition is None):  # noqa: SLF001
        return None
    chosen = producer._partition(topic, partition, key, None, key, None)  # noqa: SLF001
    return None if chosen is None else TopicPartition(topic, chosen)


def append(producer: Any, placed: Mapping[TopicPartition, Sequence[Message]]) -> list[MessageBatch]:
    """What the client's `send` does for a message, once for all of them."""
    if not placed:
        return []
    manager, accumulator = producer._transaction_manager, producer._accumulator  # noqa: SLF001
    if producer._closed or accumulator._closed:  # noqa: SLF001
        raise IllegalStateError("KafkaProducer already closed!")
    now_ms, limit = int(time.time() * 1000), producer.config["batch_size"]
    batches = [batch for where, some in placed.items() for batch in _batches(where, some, limit, now_ms)]
    producer._ensure_valid_record_size(max(batch.records.size_in_bytes() for batch in batches))  # noqa: SLF001
    if manager and manager.is_transactional():
        for where in placed:
            manager.maybe_add_partition_to_transaction(where)
    accumulator._appends_in_progress.increment()  # noqa: SLF001
    try:
        for batch in batches:
            with accumulator._tp_lock(batch.topic_partition):  # noqa: SLF001
                accumulator._batches[batch.topic_partition].append(batch)  # noqa: SLF001
                accumulator._incomplete.add(batch)  # noqa: SLF001
    finally:
        accumulator._appends_in_progress.decrement()  # noqa: SLF001
    producer._sender.wakeup()  # noqa: SLF001
    return [batch._record_futures for batch in batches]  # noqa: SLF001


def _batches(where: TopicPartition, messages: Sequence[Message], limit: int, now_ms: int) -> Iterator[Any]:
    """Batches of the client's, each a MessageBatch; none is larger than `limit` bytes unless a single record is."""
    start = 0
    while start < len(messages):
        raw = records(islice(messages, start, None), limit - DefaultRecordBatchBuilder.header_size_in_bytes())
        count = len(raw)
        built = MemoryRecordsBuilder(MAGIC, 0, limit)
        fill(built, raw, now_ms)
        batch = ProducerBatch(where, built)
        batch._record_futures = MessageBatch(messages[start : start + count], batch.produce_future)  # noqa: SLF001
        start += count
        yield batch


def fill(built: Any, raw: Sequence[bytes], now_ms: int) -> None:
    """Leave a new builder as if it had been handed these records one by one, and were full."""
    inner, count = built._builder, len(raw)  # noqa: SLF001
    inner._buffer += b"".join(raw)  # noqa: SLF001
    inner._num_records, inner._last_offset = count, count - 1  # noqa: SLF001
    inner._first_timestamp = inner._max_timestamp = now_ms  # noqa: SLF001
    inner._batch_size = 0  # noqa: SLF001 - the client's `send` adds nothing to it
    built._next_offset = count  # noqa: SLF001


def records(messages: Iterator[Message], limit: int) -> list[bytes]:
    """As many of them as fit into so many bytes, one at least, as records of a batch whose time is theirs.

    https://kafka.apache.org/documentation/#record
    """
    found: list[bytes] = []
    for offset, message in enumerate(messages):
        key, value = message.key, message.value
        body = b"".join(
            (
                PLAIN,
                varint(offset),
                NULL if key is None else varint(len(key)) + key,
                NULL if value is None else varint(len(value)) + value,
                _headers(message) if message.headers else b"\0",
            )
        )
        record = varint(len(body)) + body
        limit -= len(record)
        if limit < 0 and found:
            break
        found.append(record)
    return found


def _headers(message: Message) -> bytes:
    pieces = [varint(len(message.headers))]
    for name, value in message.headers:
        raw = name.encode()
        pieces += varint(len(raw)), raw, varint(len(value or b"")), value or b""  # the client cannot write a null one
    return b"".join(pieces)


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    """As the client writes it."""
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)
