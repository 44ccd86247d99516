"""A reader of one topic, without a group, on kafka-python."""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition

from monitor.broker.client import TopicRecord
from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.client_errors import close_quietly, translated_connect_errors, translated_errors
from monitor.broker.kafka_python.columns import block_of
from monitor.broker.kafka_python.config import client_config
from monitor.broker.kafka_python.not_read import NotRead
from monitor.broker.kafka_python.patches import limit_bytes, read_any_batch
from monitor.broker.limits import READ_BYTES, StepLimit
from monitor.broker.retry import COMMAND_SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monitor.broker.blocks import RecordBlock
    from monitor.settings import Settings

log = logging.getLogger(__name__)

REQUEST_MS = 5000
POLL_RECORDS = 10_000


class KafkaPythonTopic:
    """Implements `client.TopicClient`."""

    def __init__(self, settings: Settings, topic: str, max_wait_ms: int) -> None:
        self._topic = topic
        if known_versions.is_known():
            read_any_batch()
        with translated_connect_errors(settings):
            self._consumer = KafkaConsumer(
                **client_config(settings, COMMAND_SECONDS),
                group_id=None,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                metrics_enabled=False,
                fetch_max_wait_ms=max_wait_ms,
            )
            self._bytes = limit_bytes(self._consumer, READ_BYTES)

    def partitions(self) -> list[int]:
        with translated_errors(f"opening {self._topic}"):
            return sorted(self._consumer.partitions_for_topic(self._topic) or ())

    def start(self, offsets: Mapping[int, int]) -> None:
        with translated_errors(f"opening {self._topic}"):
            self._consumer.assign(list(map(self._tp, offsets)))
            for partition, offset in offsets.items():
                self._consumer.seek(self._tp(partition), offset)

    def beginnings(self, partitions: Collection[int]) -> dict[int, int]:
        with translated_errors(f"asking for the beginning of {self._topic}"):
            found = self._consumer.beginning_offsets(list(map(self._tp, partitions)), REQUEST_MS)
        return {tp.partition: offset for tp, offset in found.items()}

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        with translated_errors(f"asking for the end of {self._topic}"):
            found = self._consumer.end_offsets(list(map(self._tp, partitions)), REQUEST_MS)
        return {tp.partition: offset for tp, offset in found.items()}

    def offsets_at(self, partitions: Collection[int], time_ms: int) -> dict[int, int]:
        with translated_errors(f"asking for offsets by time in {self._topic}"):
            found = self._consumer.offsets_for_times(dict.fromkeys(map(self._tp, partitions), time_ms), REQUEST_MS)
        return {tp.partition: one.offset for tp, one in found.items() if one is not None}

    def positions(self) -> dict[int, int]:
        with translated_errors(f"asking for the position in {self._topic}"):
            return {tp.partition: self._consumer.position(tp, REQUEST_MS) or 0 for tp in self._consumer.assignment()}

    def stop(self, partition: int) -> None:
        with translated_errors(f"reading {self._topic}"):
            self._consumer.pause(self._tp(partition))

    def poll_blocks(self, limit: StepLimit, seconds: float) -> list[RecordBlock]:
        return list(map(block_of, self._polled(limit, seconds)))

    def _polled(self, limit: StepLimit, seconds: float) -> list[list[Any]]:
        """The records of each partition of which any came."""
        if self._bytes is not None:
            self._bytes.limit = limit.bytes
        with translated_errors(f"reading {self._topic}"):
            polled = self._consumer.poll(timeout_ms=int(1000 * seconds), max_records=limit.records)
        return [*polled.values()]

    def poll(self, seconds: float) -> list[TopicRecord]:
        records = list(chain.from_iterable(self._polled(StepLimit(POLL_RECORDS, READ_BYTES), seconds)))
        for one in records:
            if type(one.value) is NotRead:
                log.warning("%s partition %d: %s: not read", self._topic, one.partition, one.value.what)
        return [
            TopicRecord(one.partition, one.offset, one.timestamp, one.key, one.value, tuple(one.headers))
            for one in records
            if type(one.value) is not NotRead
        ]

    def close(self) -> None:
        close_quietly("the reader", self._consumer.close)

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)
