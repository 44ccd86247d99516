"""Takes records out of a consumer, and keeps the position in each partition that is read.

It passes over batches that cannot be inflated, and says at which offsets they stand.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from confluent_kafka import Message, TopicPartition

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.batch_search import BatchSearch
from monitor.broker.confluent.client_errors import error_of, translated_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from confluent_kafka import Consumer, KafkaError

    from monitor.records.record import SetAside

    Ends = Callable[[Collection[int]], Mapping[int, int]]

log = logging.getLogger(__name__)

END = 2**63  # beyond any offset
_END, _NOT_INFLATED = "_PARTITION_EOF", "_BAD_COMPRESSION"  # names of errors of librdkafka
# The library goes on by itself after these, and loses no record. After any other it may pass over records.
_HARMLESS = {Failure.PASSING, Failure.LATE, Failure.OUT_OF_GROUP, Failure.REBALANCING}


class RecordStream:
    """The records of one consumer. `positions` has the next offset of each partition that is read."""

    def __init__(self, consumer: Consumer, topic: str, what: str, ends: Ends) -> None:
        """`what` says what is done, for messages. `ends` asks for the end of the committed records of partitions."""
        self._consumer, self._topic, self._what, self._ends = consumer, topic, what, ends
        self._failure: ClientError | None = None
        self._searches: dict[int, BatchSearch] = {}
        self._set_aside: list[tuple[int, SetAside]] = []
        self.positions: dict[int, int] = {}
        self.is_drained = True  # whether the last call found fewer events than it was asked for

    def begin(self, offsets: Mapping[int, int]) -> None:
        """The consumer reads these partitions from these offsets on."""
        self.end(offsets)
        self.positions |= offsets

    def end(self, partitions: Collection[int]) -> None:
        """The consumer reads these partitions no more."""
        for partition in partitions:
            self.positions.pop(partition, None)
            self._searches.pop(partition, None)

    @property
    def has_set_aside(self) -> bool:
        """Whether `set_aside` has something to tell. Records that come after it would be in the wrong order."""
        return bool(self._set_aside)

    def set_aside(self) -> list[tuple[int, SetAside]]:
        """The batches that were passed over since the last call, each with its partition."""
        found = [pair for pair in self._set_aside if pair[0] in self.positions]
        self._set_aside.clear()
        return found

    def take(self, count: int, seconds: float) -> list[Message]:
        """At most `count` records: waits up to `seconds` for the first event, and takes what is there with it.

        An event is a record, an error or the end of a log. An error is kept for `raise_failure`, so that the records
        before it are returned first. Calls the consumer's callbacks.
        """
        if count <= 0:
            return []
        with translated_errors(self._what):
            first = self._consumer.consume(1, seconds) if seconds > 0 else []
            messages = first + self._consumer.consume(count - len(first), 0) if count > len(first) else first
        self.is_drained = len(messages) < count
        if self._searches:
            messages = self._without_searched(messages)
        errors = list(map(Message.error, messages))
        return self._records(messages, errors) if any(errors) else messages

    def _records(self, messages: list[Message], errors: list[KafkaError | None]) -> list[Message]:
        """The records among the events; of a partition with a record that cannot be read, only those before it."""
        pairs = list(zip(messages, errors, strict=True))
        failed: dict[int | None, int] = {}  # partition -> offset of what cannot be read
        for message, error in pairs:
            if error is not None and (self._is_search(message, error) or self._is_failure(message, error)):
                failed[message.partition()] = message.offset() or 0
        records = [message for message, error in pairs if error is None]
        if not failed:
            return records
        return [one for one in records if (one.offset() or 0) < failed.get(one.partition(), END)]

    def _is_failure(self, message: Message, error: KafkaError) -> bool:
        """Whether an error means that the next record of its partition cannot be read; it is kept then."""
        if error.name() == _END:
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:
                self.move(partition, offset)  # past the transaction markers at the end of its log
            return False
        found = error_of(self._what, error)
        if found.failure in _HARMLESS:
            log.debug("%s", found)
            return False
        self._failure = found
        return True

    def _is_search(self, message: Message, error: KafkaError) -> bool:
        """Whether this says that a batch cannot be inflated: then begin to search for its end."""
        partition, first = message.partition(), message.offset()
        if error.name() != _NOT_INFLATED or partition not in self.positions or first is None:
            return False
        inside, end = max(first, self.positions[partition]), self._ends([partition])[partition]
        self._search_on(partition, BatchSearch(first, inside, max(end, inside + 1)))
        return True

    def _without_searched(self, messages: list[Message]) -> list[Message]:
        """The messages of partitions without a search. In the others the first one tells the search where to go on."""
        searches = dict(self._searches)
        first = {partition: one for one in reversed(messages) if (partition := one.partition()) in searches}
        for partition, search in searches.items():
            if partition in first and self._has_told(search, first[partition]):
                self._search_on(partition, search)
        return [message for message in messages if message.partition() not in searches]

    def _has_told(self, search: BatchSearch, message: Message) -> bool:
        """Tell a search what came from its partition; False for an error that says nothing about the batch."""
        error, offset = message.error(), message.offset() or 0
        if error is not None and error.name() == _NOT_INFLATED:
            search.failed(offset)
        elif error is not None and error.name() != _END:
            return False
        else:
            search.succeeded()
        return True

    def _search_on(self, partition: int, search: BatchSearch) -> None:
        """Read where the search wants to, or behind the batch once it is done."""
        self._searches[partition] = search
        with translated_errors(self._what):
            self._consumer.seek(TopicPartition(self._topic, partition, search.next_offset()))
        if search.is_done:
            del self._searches[partition]
            self._set_aside.append((partition, search.found()))
            self.move(partition, search.outside)

    def move(self, partition: int, offset: int) -> None:
        """Move the position of a partition forward, never back: the end of a log comes with the records before it."""
        if partition in self.positions:
            self.positions[partition] = max(self.positions[partition], offset)

    @property
    def has_failed(self) -> bool:
        """Whether the next record of a partition cannot be read."""
        return self._failure is not None

    def raise_failure(self) -> None:
        """Raise the error that came, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
