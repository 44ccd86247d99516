"""Takes records out of a consumer, and keeps the position in each partition that is read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from confluent_kafka import Message

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.client_errors import error_of, translated_errors

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError

log = logging.getLogger(__name__)

END = 2**63
_END = "_PARTITION_EOF"
# The library goes on by itself after these, and loses no record. After any other it may pass over records.
_HARMLESS = {Failure.PASSING, Failure.LATE, Failure.OUT_OF_GROUP, Failure.REBALANCING}


class RecordStream:
    """The records of one consumer. `positions` has the next offset of each partition that is read."""

    def __init__(self, consumer: Consumer, what: str) -> None:
        self._consumer, self._what = consumer, what
        self._failure: ClientError | None = None
        self.positions: dict[int, int] = {}

    def take(self, count: int, seconds: float) -> list[Message]:
        """Records that are there within `seconds`; at once with those that came when there is any event.

        An error is kept for `raise_failure`: what came before it is returned first. Calls the consumer's callbacks.
        """
        if count <= 0:
            return []
        with translated_errors(self._what):
            first = self._consumer.consume(1, seconds) if seconds > 0 else []
            messages = first + self._consumer.consume(count - len(first), 0) if count > len(first) else first
        errors = list(map(Message.error, messages))
        return self._records(messages, errors) if any(errors) else messages

    def _records(self, messages: list[Message], errors: list[KafkaError | None]) -> list[Message]:
        pairs = list(zip(messages, errors, strict=True))
        failed: dict[int | None, int] = {}  # partition -> offset of what cannot be read
        for message, error in pairs:
            if error is not None and self._is_failure(message, error):
                failed[message.partition()] = message.offset() or 0
        records = [message for message, error in pairs if error is None]
        if not failed:
            return records
        return [one for one in records if (one.offset() or 0) < failed.get(one.partition(), END)]

    def _is_failure(self, message: Message, error: KafkaError) -> bool:
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

    def move(self, partition: int, offset: int) -> None:
        """Move the position of a partition forward. The end of a log comes together with the records before it."""
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
