"""A reader of one topic, without a group, on confluent-kafka."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Message, TopicPartition

from monitor.broker.blocks import RecordBlock, block_place
from monitor.broker.client import TopicRecord
from monitor.broker.confluent.client_errors import close_quietly, error_of, translated_errors
from monitor.broker.confluent.columns import blocks_of, read_headers
from monitor.broker.confluent.config import topic_options
from monitor.broker.confluent.connecting import build, close_admin, connect
from monitor.broker.confluent.metadata import partitions_of
from monitor.broker.confluent.offsets import REQUEST_SECONDS, PartitionBounds
from monitor.broker.confluent.record_stream import RecordStream
from monitor.broker.confluent.step_parts import bytes_of, parts
from monitor.broker.limits import READ_BYTES, StepLimit
from monitor.broker.retry import COMMAND_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from monitor.broker.confluent.step_parts import Part
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

    def offsets_at(self, partitions: Collection[int], time_ms: int) -> dict[int, int]:
        what = f"asking for offsets by time in {self._topic}"
        wanted = [TopicPartition(self._topic, partition, time_ms) for partition in partitions]
        with translated_errors(what):
            found = self._consumer.offsets_for_times(wanted, REQUEST_SECONDS)
        for error in (one.error for one in found if one.error is not None):
            raise error_of(what, error)
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def positions(self) -> dict[int, int]:
        return dict(self._stream.positions)

    def stop(self, partition: int) -> None:
        with translated_errors(f"reading {self._topic}"):
            self._consumer.pause([TopicPartition(self._topic, partition)])

    def poll_blocks(self, limit: StepLimit, seconds: float) -> list[RecordBlock]:
        """Returns early, and without records, when a partition was read to its end."""
        blocks = [*chain.from_iterable(self._parts(limit, seconds, _blocks))]
        blocks += [RecordBlock.of_set_aside(*pair, int(1000 * time.time())) for pair in self._stream.set_aside()]
        blocks.sort(key=block_place)
        for block in blocks:
            self._stream.move(block.partition, int(block.offset[-1]) + 1)
        return blocks

    def poll(self, seconds: float) -> list[TopicRecord]:
        """Returns early, and without records, when a partition was read to its end."""
        messages = [*chain.from_iterable(self._parts(StepLimit(POLL_RECORDS, READ_BYTES), seconds, _messages))]
        for partition, left_out in self._stream.set_aside():
            log.warning("%s partition %d: %s: not read", self._topic, partition, left_out)
        records = _records(messages)
        for partition, offset in {one.partition: one.offset for one in records}.items():  # the last one of each
            self._stream.move(partition, offset + 1)
        return records

    def _parts(
        self, limit: StepLimit, seconds: float, read: Callable[[list[Message]], tuple[Part, int]]
    ) -> Iterator[Part]:
        """The messages of one poll, in parts: those that are there, or else the first that come."""
        self._stream.raise_failure()
        any_came = False
        for part, _ in parts(self._stream, limit, [], read):
            any_came = True
            yield part
        if not any_came and (first := self._stream.take(1, seconds)):
            any_came = True
            for part, _ in parts(self._stream, limit, first, read):
                yield part
        if not any_came:
            self._stream.raise_failure()

    def close(self) -> None:
        close_quietly("the reader", self._consumer.close)
        close_admin(self._admin)


def _blocks(messages: list[Message]) -> tuple[list[RecordBlock], int]:
    """The columns of messages, and what they count towards the bytes of a step.

    Headers are read at once: after the columns of other messages a call for them takes three times as long.
    """
    blocks, size = blocks_of(messages)
    return [replace(block, headers=list(block.headers)) for block in blocks], size


def _messages(messages: list[Message]) -> tuple[list[Message], int]:
    """The same messages, and their bytes."""
    return messages, bytes_of(messages)


def _records(messages: list[Message]) -> list[TopicRecord]:
    """The same as records, by few calls into C."""
    partition, offset = map(Message.partition, messages), map(Message.offset, messages)
    time_ms = map(itemgetter(1), map(Message.timestamp, messages))
    key, value = map(Message.key, messages), map(Message.value, messages)
    return list(map(TopicRecord, partition, offset, time_ms, key, value, read_headers(messages)))
