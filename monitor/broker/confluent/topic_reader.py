"""A reader of one topic, without a group, on confluent-kafka."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition

from monitor.broker.client import TopicRecord
from monitor.broker.confluent.client_errors import close_quietly, translated_errors
from monitor.broker.confluent.columns import headers_of
from monitor.broker.confluent.config import topic_options
from monitor.broker.confluent.connecting import build, close_admin, connect
from monitor.broker.confluent.metadata import partitions_of
from monitor.broker.confluent.offsets import PartitionBounds
from monitor.broker.confluent.record_stream import RecordStream
from monitor.broker.retry import COMMAND_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from monitor.settings import Settings

POLL_RECORDS = 10_000


class ConfluentTopic:
    """Implements `client.TopicClient`."""

    def __init__(self, settings: Settings, topic: str, max_wait_ms: int) -> None:
        self._topic = topic
        self._admin, errors = connect(settings, COMMAND_SECONDS)
        bounds = PartitionBounds(self._admin, topic)
        self.beginnings, self.ends = bounds.beginnings, bounds.ends
        with ExitStack() as undo:
            undo.callback(close_admin, self._admin)
            self._consumer: Consumer = build(Consumer, settings, topic_options(settings, max_wait_ms), errors)
            undo.pop_all()
        self._stream = RecordStream(self._consumer, f"reading {topic}")

    def partitions(self) -> list[int]:
        return sorted(partitions_of(self._admin, self._topic))

    def start(self, offsets: Mapping[int, int]) -> None:
        with translated_errors(f"opening {self._topic}"):
            self._consumer.assign([TopicPartition(self._topic, *pair) for pair in offsets.items()])
        self._stream.positions = dict(offsets)

    def positions(self) -> dict[int, int]:
        return dict(self._stream.positions)

    def poll(self, seconds: float) -> list[TopicRecord]:
        """Returns early, and without records, when a partition was read to its end."""
        self._stream.raise_failure()
        messages = self._stream.take(POLL_RECORDS, seconds)
        if not messages:
            self._stream.raise_failure()
        records = list(map(_record, messages))
        for record in records:
            self._stream.move(record.partition, record.offset + 1)
        return records

    def close(self) -> None:
        close_quietly("the reader", self._consumer.close)
        close_admin(self._admin)


def _record(message: Message) -> TopicRecord:
    partition, offset = message.partition(), message.offset()
    assert partition is not None  # noqa: S101 - a record that was read has both
    assert offset is not None  # noqa: S101
    return TopicRecord(partition, offset, message.timestamp()[1], message.key(), message.value(), headers_of(message))
