"""A reader of one topic, without a group, on confluent-kafka."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from itertools import chain
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
from monitor.broker.confluent.step_parts import bytes_of, parts
from monitor.broker.limits import READ_BYTES, StepLimit
from monitor.broker.retry import COMMAND_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from monitor.settings import Settings

log = logging.getLogger(__name__)

POLL_RECORDS = 10_000


class ConfluentTopic:
    """Implements `client.TopicClient`."""

    def __init__(self, settings: Settings, topic: str, max_wait_ms: int) -> None:
        self._topic = topic
        self._admin, errors = connect(settings, COMMAND_SECONDS)
        self._errors = errors
        bounds = PartitionBounds(self._admin, topic)
        self.beginnings, self.ends = bounds.beginnings, bounds.ends
        with ExitStack() as undo:
            undo.callback(close_admin, self._admin)
            self._consumer: Consumer = build(Consumer, settings, topic_options(settings, max_wait_ms), errors)
            undo.pop_all()
        self._stream = RecordStream(self._consumer, topic, f"reading {topic}", self.ends)

    def partitions(self) -> list[int]:
        with self._errors.named(self._admin):
            return sorted(partitions_of(self._admin, self._topic))

    def start(self, offsets: Mapping[int, int]) -> None:
        with translated_errors(f"opening {self._topic}"):
            self._consumer.assign([TopicPartition(self._topic, *pair) for pair in offsets.items()])
        self._stream.end(self._stream.positions.copy())
        self._stream.begin(offsets)

    def positions(self) -> dict[int, int]:
        return dict(self._stream.positions)

    def poll(self, seconds: float) -> list[TopicRecord]:
        """Returns early, and without records, when a partition was read to its end."""
        self._stream.raise_failure()
        messages = self._taken([])
        if not messages and (first := self._stream.take(1, seconds)):
            messages = self._taken(first)
        if not messages:
            self._stream.raise_failure()
        for partition, left_out in self._stream.set_aside():
            log.warning("%s partition %d: %s: not read", self._topic, partition, left_out)
        records = list(map(_record, messages))
        for record in records:
            self._stream.move(record.partition, record.offset + 1)
        return records

    def _taken(self, came: list[Message]) -> list[Message]:
        """What came already, and the records that are there now."""
        taken = parts(self._stream, StepLimit(POLL_RECORDS, READ_BYTES), came, bytes_of)
        return [*chain.from_iterable(messages for messages, _ in taken)]

    def close(self) -> None:
        close_quietly("the reader", self._consumer.close)
        close_admin(self._admin)


def _record(message: Message) -> TopicRecord:
    partition, offset = message.partition(), message.offset()
    assert partition is not None  # noqa: S101 - a record that was read has both
    assert offset is not None  # noqa: S101
    return TopicRecord(partition, offset, message.timestamp()[1], message.key(), message.value(), headers_of(message))
