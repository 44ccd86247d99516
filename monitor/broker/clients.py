"""Kafka for the commands: publish records, and read a topic without belonging to a group."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from kafka import KafkaConsumer, TopicPartition

from monitor.broker.connection.client_config import (
    COMMAND_SECONDS,
    client_config,
    translated_connect_errors,
    translated_errors,
)
from monitor.broker.kafka_python.header_names import be_lenient
from monitor.broker.producer import build_producer, send
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.records.record import Message
    from monitor.settings import Settings

FLUSH_EVERY = 5000  # the client's own buffer has no bound
FLUSH_SECONDS = 60.0
POSITION_MS = 5000


class Publisher:
    """Sends records and keeps count; `flush` says when any of them was lost."""

    def __init__(self, settings: Settings) -> None:
        self._producer = build_producer(settings, COMMAND_SECONDS, linger_ms=5, batch_size=64 * 1024)
        self._unflushed = 0
        self._failure: Exception | None = None

    def send(self, message: Message, timestamp_ms: int | None = None) -> None:
        with translated_errors(f"publishing to {message.topic}"):
            send(self._producer, message, timestamp_ms).add_errback(self._failed)
        self._unflushed += 1
        if self._unflushed >= FLUSH_EVERY:
            self.flush()

    def _failed(self, error: Exception) -> None:
        self._failure = error

    def flush(self) -> None:
        """Wait for every acknowledgement; raises BrokerError when one of them did not come."""
        with translated_errors("waiting for acknowledgements"):
            self._producer.flush(timeout=FLUSH_SECONDS)
        self._unflushed = 0
        if self._failure is not None:
            raise BrokerError(f"the broker did not take every record: {self._failure}")

    def close(self) -> None:
        self._producer.close(timeout=FLUSH_SECONDS)


def build_reader(settings: Settings, **options: Any) -> KafkaConsumer:
    """A consumer that belongs to no group and sees what is committed."""
    with translated_connect_errors(settings):
        return KafkaConsumer(
            **client_config(settings, COMMAND_SECONDS),
            group_id=None,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            metrics_enabled=False,
            **options,
        )


class Reader:
    """Every partition of one topic, committed records only, from its beginning or from now on."""

    def __init__(
        self, settings: Settings, topic: str, *, from_beginning: bool, is_lenient: bool = True, wait_ms: int = 500
    ) -> None:
        """`wait_ms`: how long the broker may keep a request for records that are not there yet."""
        if is_lenient:
            be_lenient()
        self._consumer = build_reader(settings, fetch_max_wait_ms=wait_ms)
        try:
            with translated_errors(f"opening {topic}"):
                self._partitions = self._assign(topic, from_beginning=from_beginning)
        except BrokerError:
            self._consumer.close()
            raise

    def _assign(self, topic: str, *, from_beginning: bool) -> list[TopicPartition]:
        found = self._consumer.partitions_for_topic(topic)
        if not found:
            raise BrokerError(f"no topic {topic} at its broker: `ecg-monitor topics create` makes it")
        partitions = [TopicPartition(topic, partition) for partition in found]
        self._consumer.assign(partitions)
        (self._consumer.seek_to_beginning if from_beginning else self._consumer.seek_to_end)(*partitions)
        for partition in partitions:
            self._consumer.position(partition)  # resolves now, not at the first poll
        return partitions

    def beginnings(self) -> dict[int, int]:
        """Offset of the oldest record that is kept, for each partition."""
        with translated_errors("asking for the beginning"):
            return {tp.partition: offset for tp, offset in self._consumer.beginning_offsets(self._partitions).items()}

    def poll(self, seconds: float = 0.5) -> list[Any]:
        """Records (with `key`, `value`, `headers`, `timestamp`, `partition`, `offset`) that came within `seconds`."""
        with translated_errors("reading"):
            return list(chain.from_iterable(self._consumer.poll(timeout_ms=int(1000 * seconds)).values()))

    def until_end(self, limit_seconds: float = 60.0) -> Iterator[Any]:
        """Every record up to the end as it is now. Raises BrokerError when none comes for as long as the limit."""
        with translated_errors("asking for the end"):
            ends = self._consumer.end_offsets(self._partitions)
        deadline = time.monotonic() + limit_seconds
        while self._is_before(ends):
            if time.monotonic() > deadline:
                raise BrokerError(f"the topic's end was not reached: nothing came for {limit_seconds:g} s")
            if records := self.poll():
                yield from records
                deadline = time.monotonic() + limit_seconds

    def _is_before(self, ends: dict[TopicPartition, int]) -> bool:
        with translated_errors("asking for the position"):
            return any((self._consumer.position(tp, POSITION_MS) or 0) < end for tp, end in ends.items())

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
