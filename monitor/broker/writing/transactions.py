"""Exactly once: messages and offsets in one Kafka transaction, visible together or not at all (KIP-447).

A producer of kafka-python 3.0.12 cannot be used after a failed transaction: offsets of an aborted one leak into the
next, since the client never clears its list of pending offsets, and after a fatal error every call raises. So each
failure ends its producer. The next one first ends the transaction that the last one left open, and the beats are read
again from the group's committed offsets.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from kafka import KafkaProducer
from kafka.errors import ProducerFencedError

from monitor.broker.client_errors import START_SECONDS, close_quietly, translated_errors
from monitor.broker.kafka_python.known_versions import is_patched
from monitor.broker.kafka_python.transactional import transaction_calls
from monitor.broker.writing.producer import TOO_LARGE, WAIT_SECONDS, build_producer, send_all
from monitor.deadletters.letter import without_value
from monitor.errors import BrokerError, RefusedError, RewoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kafka import OffsetAndMetadata, TopicPartition
    from kafka.structs import ConsumerGroupMetadata

    from monitor.records.record import Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)

TRANSACTION_MS = 10_000  # after this the broker ends the transaction of a monitor that died, and readers go on
DELIVER_SECONDS = 8.0
CLOSE_SECONDS = 5.0
FENCED_SECONDS, FENCED_TIMES = 60.0, 3


class TransactionalProducer:
    """The transactional producer of this instance, under a name that no other instance may use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"{settings.group_id}.{settings.instance}"
        self._producer: KafkaProducer | None = None
        self._is_ready = False
        self._too_large: int | None = None  # bytes that the broker has refused before
        self._fenced: deque[float] = deque(maxlen=FENCED_TIMES)
        self._connect_seconds = START_SECONDS

    def prepare(self) -> None:
        """Have a producer ready; a transaction that an earlier one of this name left open is ended first.

        Raises BrokerError while that cannot be done, RefusedError where another process uses the same name.
        """
        if self._is_ready:
            return
        if self._producer is None:
            # retry_backoff_ms: the client may sleep so long before every transactional request (100 ms by default)
            options = {"transactional_id": self._name, "transaction_timeout_ms": TRANSACTION_MS, "retry_backoff_ms": 5}
            self._producer = build_producer(self._settings, self._connect_seconds, **options)
            self._connect_seconds = WAIT_SECONDS
        try:
            with translated_errors(f"beginning transactions as {self._name}"):
                self._producer.init_transactions()
        except BrokerError:
            # Also after a time-out: in kafka-python 3.0.12 a request to a coordinator that dies can stay in flight
            # without end, and every later one waits behind it. The next producer asks again.
            self._discard()
            raise
        self._is_ready = True

    def deliver(
        self,
        messages: Sequence[Message],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        """Commit messages and offsets as this member of the group, in this generation.

        Raises RewoundError when nothing was committed, or when that is unknown: the group's offsets decide then.
        """
        # kafka-python 3.0.12 returns the member (-1, '') once a heartbeat found that the group has removed it, and the
        # broker accepts offsets from that member at any time: a frozen member would commit over its successor.
        if member.generation_id < 0 or not member.member_id:
            raise RewoundError("this member is out of the group: its last beats are read again")
        began, sent = time.monotonic(), [self._shortened(message) for message in messages]
        try:
            with translated_errors("a transaction failed"):
                self._transact(sent, offsets, member)
        except BrokerError as error:
            self._discard()
            self._remember_size(error.__cause__, sent)
            if isinstance(error.__cause__, ProducerFencedError):
                self._check_name(time.monotonic() - began)
            raise RewoundError(str(error)) from error

    def _transact(
        self,
        messages: Sequence[Message],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        deadline = time.monotonic() + DELIVER_SECONDS
        self.prepare()
        producer = self._producer
        assert producer is not None  # noqa: S101 - prepare has built it
        producer.begin_transaction()
        for batch in tuple(send_all(producer, messages, is_patched=is_patched(self._settings))):
            batch.get(timeout=max(0.001, deadline - time.monotonic()))
        calls = transaction_calls(producer, self._settings)
        calls.send_offsets(offsets, member, deadline - time.monotonic())
        calls.commit(deadline - time.monotonic())

    def _shortened(self, message: Message) -> Message:
        """The message; without its value where it is a dead letter as large as one that the broker has refused."""
        for _ in range(2):
            if self._too_large is not None and message.may_omit_value and _size(message) >= self._too_large:
                message = without_value(message)
        return message

    def _remember_size(self, error: BaseException | None, messages: Sequence[Message]) -> None:
        if isinstance(error, TOO_LARGE):
            largest = max(messages, key=_size)
            log.error(
                "the broker refuses %d bytes for %s: raise max.message.bytes of that topic",
                _size(largest),
                largest.topic,
            )
            omissible = [_size(message) for message in messages if message.may_omit_value]
            self._too_large = max(omissible) if omissible else self._too_large

    def _check_name(self, seconds: float) -> None:
        """Refuse to go on when another process uses the same name.

        The broker fences a transaction that took too long; one that did not was fenced by another process.
        """
        if 1000 * seconds >= TRANSACTION_MS:
            return
        self._fenced.append(time.monotonic())
        if len(self._fenced) == FENCED_TIMES and self._fenced[-1] - self._fenced[0] < FENCED_SECONDS:
            raise RefusedError(
                f"another monitor of group {self._settings.group_id} runs as MONITOR_INSTANCE="
                f"{self._settings.instance}: give each process a name of its own"
            )

    def _discard(self) -> None:
        """Close the producer without waiting for messages that it has not sent."""
        producer, self._producer, self._is_ready = self._producer, None, False
        if producer is None:
            return
        transaction_calls(producer, self._settings).force_close()
        close_quietly("the producer", partial(producer.close, timeout=CLOSE_SECONDS))

    def close(self) -> None:
        self._discard()


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers
