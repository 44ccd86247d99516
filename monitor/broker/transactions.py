"""Exactly once: messages and offsets in one Kafka transaction, visible together or not at all (KIP-447).

kafka-python 3.0.12 leaves no producer fit for use after a failed transaction: offsets of an aborted one leak into the
next (`_pending_txn_offset_commits` is never cleared), and after a fatal error every call raises. So whatever fails
ends its producer; the next one begins by ending what the last left open, and the beats are read again from where the
group's offsets then stand.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError, ProducerFencedError

from monitor.broker.connection.client_config import START_SECONDS, close_quietly, translated_errors
from monitor.broker.producer import TOO_LARGE, WAIT_SECONDS, build_producer, hand_over, is_answered
from monitor.deadletters.letter import without_value
from monitor.errors import BrokerError, RefusedError, RewoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kafka import OffsetAndMetadata, TopicPartition
    from kafka.structs import ConsumerGroupMetadata

    from monitor.records.record import Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)

TRANSACTION_MS = 10_000  # after which the broker ends it, and readers wait no longer for a monitor that died
DELIVER_SECONDS = 8.0
CLOSE_SECONDS = 5.0
FENCED_SECONDS, FENCED_TIMES = 60.0, 3


class TransactionalProducer:
    """The transactional producer, under a name that is this instance's own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"{settings.group_id}.{settings.instance}"
        self._producer: KafkaProducer | None = None
        self._is_ready = False
        self._too_large: int | None = None  # bytes that the broker has refused before
        self._fenced: deque[float] = deque(maxlen=FENCED_TIMES)
        self._connect_seconds = START_SECONDS

    def prepare(self) -> None:
        """Have a producer; what an earlier one of this name left open is ended before this returns.

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
            # Also when only time has run out: in kafka-python 3.0.12 a request to a coordinator that dies can stay in
            # flight for ever, and every later one waits behind it. What it asked for is asked for again.
            self._discard()
            raise
        self._is_ready = True

    def deliver(
        self,
        messages: Sequence[Message],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        """Commit all of it, as this member of the group in this generation.

        Raises RewoundError when it came to nothing, or may have: only the group's committed offsets tell.
        """
        # kafka-python 3.0.12 hands out (-1, '') once a heartbeat was told that the member is unknown, and the broker
        # takes offsets under that from anybody: a member that was frozen would commit over its successor.
        if member.generation_id < 0 or not member.member_id:
            raise RewoundError("this member is out of the group: its last beats are read again")
        began, sent = time.monotonic(), [self._fitting(message) for message in messages]
        try:
            with translated_errors("a transaction came to nothing"):
                self._transact(sent, offsets, member)
        except BrokerError as error:
            self._discard()
            self._learn(error.__cause__, sent)
            if isinstance(error.__cause__, ProducerFencedError):
                self._note_fenced(time.monotonic() - began)
            raise RewoundError(str(error)) from error

    def _transact(
        self,
        messages: Sequence[Message],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        deadline = time.monotonic() + DELIVER_SECONDS
        self.prepare()
        producer: Any = self._producer
        producer.begin_transaction()
        manager = producer._transaction_manager  # noqa: SLF001
        for parcel in tuple(hand_over(producer, messages)):
            parcel.get(timeout=max(0.001, deadline - time.monotonic()))
        self._wait(manager.send_offsets_to_transaction(dict(offsets), member), deadline)
        self._wait(manager.begin_commit(), deadline)

    def _wait(self, result: Any, deadline: float) -> None:
        if not is_answered(self._producer, result, deadline - time.monotonic()):
            raise KafkaTimeoutError(f"no answer within {DELIVER_SECONDS:g} s")

    def _fitting(self, message: Message) -> Message:
        """A dead letter as large as one that the broker refused goes without its value, rather than never."""
        for _ in range(2):
            if self._too_large is not None and message.may_omit_value and _size(message) >= self._too_large:
                message = without_value(message)
        return message

    def _learn(self, error: BaseException | None, messages: Sequence[Message]) -> None:
        if isinstance(error, TOO_LARGE):
            largest = max(messages, key=_size)
            log.error(
                "the broker refuses %d bytes for %s: raise max.message.bytes of that topic",
                _size(largest),
                largest.topic,
            )
            omissible = [_size(message) for message in messages if message.may_omit_value]
            self._too_large = max(omissible) if omissible else self._too_large

    def _note_fenced(self, seconds: float) -> None:
        """The broker ends a transaction that takes too long; of a young one, another process has taken the name."""
        if 1000 * seconds >= TRANSACTION_MS:
            return
        self._fenced.append(time.monotonic())
        if len(self._fenced) == FENCED_TIMES and self._fenced[-1] - self._fenced[0] < FENCED_SECONDS:
            raise RefusedError(
                f"another monitor of group {self._settings.group_id} runs as MONITOR_INSTANCE="
                f"{self._settings.instance}: give each process a name of its own"
            )

    def _discard(self) -> None:
        """Let go of the producer without waiting for what it still wants to send."""
        producer: Any = self._producer
        self._producer, self._is_ready = None, False
        if producer is None:
            return
        producer._sender.force_close()  # noqa: SLF001 - else `close` waits for what never will be sent, and gives up
        close_quietly("the producer", partial(producer.close, timeout=CLOSE_SECONDS))

    def close(self) -> None:
        self._discard()


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers
