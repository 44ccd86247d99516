"""Exactly once: messages and offsets in one Kafka transaction, visible together or not at all (KIP-447).

A producer is not used after a failed transaction. In kafka-python 3.0.12 offsets of an aborted one leak into the next,
since the client never clears its list of pending offsets, and after a fatal error every call raises. The next producer
first ends the transaction that the last one left open, and the beats are read again from the group's committed offsets.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from monitor.broker.client import ClientError, Failure
from monitor.broker.limits import TRANSACTION_MS, WAIT_SECONDS
from monitor.broker.retry import START_SECONDS
from monitor.broker.writing.output_time import OutputTime
from monitor.deadletters.letter import smaller
from monitor.errors import RefusedError, RewoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.broker.client import CommittedOffset, KafkaClient, Membership, ProducerClient
    from monitor.records.record import Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)

DELIVER_SECONDS = 8.0
FENCED_SECONDS, FENCED_TIMES = 60.0, 3


class TransactionalProducer:
    """The transactional producer of this instance, under a name that no other instance may use."""

    def __init__(self, settings: Settings, client: KafkaClient) -> None:
        self._settings, self._client = settings, client
        self._name = settings.transactional_id
        self._producer: ProducerClient | None = None  # with transactions begun
        self._time = OutputTime()
        self._too_large: int | None = None  # bytes that the broker has refused before
        self._fenced: deque[float] = deque(maxlen=FENCED_TIMES)
        self._connect_seconds = START_SECONDS

    def prepare(self) -> None:
        """Have a producer ready; a transaction that an earlier one of this name left open is ended first.

        Raises BrokerError while that cannot be done, RefusedError where another process uses the same name.
        """
        self._ready()

    def _ready(self) -> ProducerClient:
        if self._producer is None:
            producer = self._client.producer(self._settings, self._connect_seconds, transactional_id=self._name)
            self._connect_seconds = WAIT_SECONDS
            try:
                producer.init_transactions(WAIT_SECONDS)
            except ClientError:
                # Also after a time-out: in kafka-python 3.0.12 a request to a coordinator that dies can stay in flight
                # without end, and every later one waits behind it. The next producer asks again.
                producer.discard()
                raise
            self._producer = producer
        return self._producer

    def deliver(self, messages: Sequence[Message], offsets: Mapping[int, CommittedOffset], member: Membership) -> None:
        """Commit messages and offsets as this member of the group, in this generation.

        Raises RewoundError when nothing was committed, or when that is unknown: the group's offsets decide then.
        """
        if not member.member_id:
            raise RewoundError("this member is out of the group: its last beats are read again")
        began, sent = time.monotonic(), self._shortened(messages)
        try:
            self._transact(sent, offsets, member)
        except ClientError as error:
            self.close()
            self._remember_size(error, sent)
            if error.failure is Failure.BAD_TIME:
                self._time.refuse()
            if error.failure is Failure.FENCED:
                self._check_name(time.monotonic() - began)
            raise RewoundError(f"a transaction failed: {error}") from error

    def _transact(
        self, messages: Sequence[Message], offsets: Mapping[int, CommittedOffset], member: Membership
    ) -> None:
        deadline = time.monotonic() + DELIVER_SECONDS
        producer = self._ready()
        producer.begin()
        producer.send(messages, self._time.times(len(messages))).wait(deadline)
        producer.send_offsets(self._settings.beats_topic, offsets, member, deadline - time.monotonic())
        producer.commit(deadline - time.monotonic())

    def _shortened(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages; dead letters as large as one that the broker has refused are made smaller."""
        if self._too_large is None:
            return messages
        for _ in range(2):  # without the value, and if that is too large still, without key and headers
            messages = [smaller(one) if one.may_omit_value and one.size >= self._too_large else one for one in messages]
        return messages

    def _remember_size(self, error: ClientError, messages: Sequence[Message]) -> None:
        if error.failure is Failure.TOO_LARGE:
            largest = max(messages, key=lambda message: message.size)
            log.error(
                "the broker refuses %d bytes for %s: raise max.message.bytes of that topic",
                largest.size,
                largest.topic,
            )
            omissible = [message.size for message in messages if message.may_omit_value]
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

    def close(self) -> None:
        """Close the producer without waiting for messages that it has not sent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.discard()
