"""Reads a topic without belonging to a group, and reads a topic to its end."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from kafka import KafkaConsumer, TopicPartition

from monitor.broker.client_errors import close_quietly, translated_connect_errors, translated_errors
from monitor.broker.connection.client_config import COMMAND_SECONDS, client_config
from monitor.broker.kafka_python.known_versions import is_patched
from monitor.broker.kafka_python.patches import accept_any_header_name
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.settings import Settings

POSITION_MS = 5000


def build_reader(settings: Settings, **options: Any) -> KafkaConsumer:
    """A consumer that belongs to no group and reads committed records only."""
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


def read_to_end(
    consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], idle_seconds: float, poll_ms: int = 500
) -> Iterator[Any]:
    """Every record of the partitions up to the offsets `ends`, from where the consumer stands.

    The consumer's position decides, since a log may end in transaction markers, and an empty poll is not the end.
    Raises BrokerError when no record comes for `idle_seconds`: a transaction that is still open holds the end back.
    """
    deadline = time.monotonic() + idle_seconds
    while _is_before(consumer, ends):
        if time.monotonic() > deadline:
            topics = ", ".join(sorted({tp.topic for tp in ends}))
            raise BrokerError(
                f"the end of {topics} was not reached: no record came for {idle_seconds:g} s; a transaction may be open"
            )
        with translated_errors("reading"):
            polled = consumer.poll(timeout_ms=poll_ms)
        if polled:
            yield from chain.from_iterable(polled.values())
            deadline = time.monotonic() + idle_seconds


def _is_before(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    with translated_errors("asking for the position"):
        return any((consumer.position(tp, POSITION_MS) or 0) < end for tp, end in ends.items())


class Reader:
    """Reads every partition of one topic, committed records only, from its beginning or from now on."""

    def __init__(
        self, settings: Settings, topic: str, *, from_beginning: bool, is_lenient: bool = True, wait_ms: int = 500
    ) -> None:
        """`wait_ms`: how long the broker may hold back its answer while there is no record.

        `is_lenient`: be ready for header names that are not UTF-8, as `kafka_python.header_names` says.
        """
        if is_lenient and is_patched(settings):
            accept_any_header_name()
        self._consumer = build_reader(settings, fetch_max_wait_ms=wait_ms)
        try:
            with translated_errors(f"opening {topic}"):
                self._partitions = self._assign(topic, from_beginning=from_beginning)
        except BrokerError:
            self.close()
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
        """Offset of the oldest record of each partition."""
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
        yield from read_to_end(self._consumer, ends, limit_seconds)

    def close(self) -> None:
        close_quietly("the reader", self._consumer.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
