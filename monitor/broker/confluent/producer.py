"""A producer on confluent-kafka."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.bounded_call import call_within
from monitor.broker.confluent.client_errors import (
    close_quietly,
    error_of,
    failure_of_kafka,
    kafka_error,
)
from monitor.broker.confluent.config import producer_options
from monitor.broker.confluent.connecting import build, close_admin, connect
from monitor.broker.confluent.metadata import partitions_of
from monitor.broker.limits import SEND_BATCH_BYTES, WAIT_SECONDS
from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from confluent_kafka import Message as Delivered

    from monitor.broker.client import CommittedOffset, Membership
    from monitor.records.record import Headers, Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)

QUEUE_FULL = -184  # RD_KAFKA_RESP_ERR__QUEUE_FULL of librdkafka
TURN_SECONDS = 0.1  # between two looks at the clock
REPORT_SECONDS = 0.5  # after a call failed, for the report that says which message was refused
BATCH_SIZES = (SEND_BATCH_BYTES, 16 * 1024, 0)  # 0: one message a batch
# librdkafka 2.16.1 adds offsets for as long as the group's coordinator is gone, whatever its limit: 42 s instead of 3
# were seen, and 10 minutes in an outage.
OVERTIME_SECONDS = 1.0
LEAST_SECONDS = 0.001  # the library waits without a limit for a negative number of seconds


class DeliveryReports:
    """A producer of the library with what comes back from it."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.fatal: KafkaError | None = None

    def serve(self, seconds: float = 0.0) -> None:
        """Call the callbacks that are due. The library raises a fatal error here, once, instead of calling one."""
        try:
            self.producer.poll(max(0.0, seconds))
        except KafkaException as exception:
            self.notice(kafka_error(exception))

    def notice(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = error

    def raise_fatal(self) -> None:
        if self.fatal is not None:
            raise error_of("sending", self.fatal)


@dataclass
class Batching:
    """The size of batches, over all producers of one monitor.

    The library, unlike kafka-python, does not split a batch that a topic does not take. So the next producer makes
    smaller ones, and at last one for each message: then the message itself is too large.
    """

    level: int = 0

    def options(self) -> dict[str, int]:
        size = BATCH_SIZES[self.level]
        return {"batch.size": size} if size else {"batch.num.messages": 1}

    def refused(self) -> bool:
        """Take the next smaller size; whether there was one. Otherwise a message by itself is too large."""
        is_last = self.level == len(BATCH_SIZES) - 1
        self.level = 0 if is_last else self.level + 1
        return not is_last

    def committed(self) -> None:
        """Batches of one message are slow: leave them."""
        self.level = min(self.level, len(BATCH_SIZES) - 2)


class ConfluentSending:
    """Implements `client.Sending` for a producer without transactions."""

    def __init__(self, reports: DeliveryReports, messages: Sequence[Message]) -> None:
        self._reports = reports
        self._unacknowledged = dict(enumerate(messages))  # without an answer, or failed
        self._failed = 0  # of these
        self._error: KafkaError | None = None  # of the first message that failed

    def hear(self, number: int, error: KafkaError | None, _delivered: Delivered | None = None) -> None:
        """Take the answer to one message: the client's `on_delivery`."""
        if error is None:
            del self._unacknowledged[number]
            return
        self._failed += 1
        self._error = self._error or error

    def wait(self, deadline: float) -> None:
        """Wait until each message is confirmed or has failed, or until `deadline`, in seconds of the monotonic clock.

        Raises ClientError for the first message that failed; if none failed and answers are missing, with
        `Failure.LATE`. It waits for all, so that `unacknowledged` is complete.
        """
        self._reports.serve()
        while len(self._unacknowledged) > self._failed and (left := deadline - time.monotonic()) > 0:
            self._reports.serve(min(TURN_SECONDS, left))
        if self._error is not None:
            raise error_of("sending", self._error)
        if self._unacknowledged:
            self._reports.raise_fatal()
            raise ClientError(
                f"sending: no answer came for {count_of(len(self._unacknowledged), 'message')}", Failure.LATE
            )

    def unacknowledged(self) -> list[Message]:
        return list(self._unacknowledged.values())


class TransactionSending:
    """Implements `client.Sending` in a transaction, where only failures are heard of, and `commit` waits."""

    def __init__(
        self, reports: DeliveryReports, messages: Sequence[Message], refusal: Callable[[str, KafkaError], ClientError]
    ) -> None:
        self._reports, self._messages, self._refusal = reports, messages, refusal
        self.error: KafkaError | None = None  # of the first message that failed

    def hear(self, error: KafkaError | None, _delivered: Delivered | None = None) -> None:
        """Take the failure of one message. The others of its transaction fail after it, and their errors say less."""
        if self.error is None or is_secondary(self.error):
            self.error = error or self.error

    def await_cause(self) -> None:
        """Wait until the message that failed first is known, where others of its transaction have failed."""
        deadline = time.monotonic() + REPORT_SECONDS
        while self.error is not None and is_secondary(self.error) and time.monotonic() < deadline:
            self._reports.serve(TURN_SECONDS)

    def wait(self, _deadline: float) -> None:
        self._reports.serve()
        self.await_cause()
        if self.error is not None:
            raise self._refusal("sending", self.error)
        self._reports.raise_fatal()

    def unacknowledged(self) -> list[Message]:
        return list(self._messages)


def is_secondary(error: KafkaError) -> bool:
    """Whether an error only says that the transaction, or the producer, failed before."""
    return error.name() in {"_STATE", "_PURGE_QUEUE", "_PURGE_INFLIGHT"}


class ConfluentProducer:
    """Implements `client.ProducerClient`."""

    def __init__(
        self,
        settings: Settings,
        wait_seconds: float,
        batching: Batching,
        *,
        transactional_id: str | None,
        linger_ms: int,
    ) -> None:
        admin, errors = connect(settings, wait_seconds)
        close_admin(admin)
        self._batching = batching
        options = producer_options(settings, transactional_id, linger_ms).extended(batching.options())
        self._is_open = True
        self._producer: Producer = build(Producer, settings, options, errors)
        self._reports = DeliveryReports(self._producer)
        self._is_transactional = transactional_id is not None
        self._is_stuck = False  # whether a call of the library has not returned
        self._transaction: list[TransactionSending] = []  # what was sent in this transaction
        self._headers: tuple[Headers, Any] = (), []  # those of the last message, and in the form of the library

    def send(
        self, messages: Iterable[Message], times_ms: Sequence[int | None] = ()
    ) -> ConfluentSending | TransactionSending:
        messages = list(messages)
        times_ms = times_ms or [None] * len(messages)
        if self._is_transactional:
            return self._send_in_transaction(messages, times_ms)
        sending = ConfluentSending(self._reports, messages)
        for number, (message, time_ms) in enumerate(zip(messages, times_ms, strict=True)):
            try:
                self._produce(message, time_ms, partial(sending.hear, number))
            except KafkaException as exception:
                sending.hear(number, kafka_error(exception))
        self._reports.serve()
        return sending

    def _send_in_transaction(self, messages: list[Message], times_ms: Sequence[int | None]) -> TransactionSending:
        """Send until a message fails: then the transaction has failed, and the library takes no more of them."""
        sending = TransactionSending(self._reports, messages, self._refusal)
        self._transaction.append(sending)
        try:
            for message, time_ms in zip(messages, times_ms, strict=True):
                self._produce(message, time_ms, sending.hear)
        except KafkaException as exception:
            sending.hear(kafka_error(exception))
        self._reports.serve()
        return sending

    def _produce(self, message: Message, time_ms: int | None, on_delivery: Callable[..., None]) -> None:
        """Give one message to the library, which has no room while too many wait for the broker.

        Raises KafkaException where it does not take it.
        """
        if message.headers is not self._headers[0]:  # rows of state have the same ones
            self._headers = message.headers, _headers(message)
        partition = -1 if message.partition is None else message.partition
        timestamp = 0 if time_ms is None else max(1, time_ms)  # 0 stands for now
        given = message.topic, message.value, message.key, partition, on_delivery, None, timestamp, self._headers[1]
        try:
            self._producer.produce(*given)
        except BufferError:
            self._produce_later(*given)

    def _produce_later(self, *given: Any) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            self._reports.serve(TURN_SECONDS)
            with suppress(BufferError):
                self._producer.produce(*given)
                return
        raise KafkaException(KafkaError(QUEUE_FULL))

    def flush(self, seconds: float) -> None:
        if left := self._flushed(seconds):
            self._reports.raise_fatal()
            raise ClientError(f"waiting for acknowledgements: none came for {count_of(left, 'message')}", Failure.LATE)

    def _flushed(self, seconds: float) -> int:
        """Wait for acknowledgements; how many are missing. After a fatal error the library's own wait fails."""
        self._reports.serve()
        try:
            return self._producer.flush(max(seconds, LEAST_SECONDS))
        except (KafkaException, SystemError) as error:
            log.debug("waiting for acknowledgements: %s", error)
            return len(self._producer)

    def partitions(self, topic: str) -> set[int]:
        return partitions_of(self._producer, topic)

    def init_transactions(self, seconds: float) -> None:
        with self._translated("beginning transactions"):
            self._producer.init_transactions(max(seconds, LEAST_SECONDS))

    def begin(self) -> None:
        self._transaction = []
        with self._translated("beginning a transaction"):
            self._producer.begin_transaction()

    def send_offsets(
        self, topic: str, offsets: Mapping[int, CommittedOffset], member: Membership, seconds: float
    ) -> None:
        """Refuses to go on without a member: the broker would take offsets of nobody at any time."""
        what = "adding offsets to a transaction"
        if not member.member_id:
            raise ClientError(f"{what}: this member is out of the group", Failure.OUT_OF_GROUP)
        given = [TopicPartition(topic, one, *offset) for one, offset in offsets.items()]
        limit = max(seconds, LEAST_SECONDS)
        call = partial(self._producer.send_offsets_to_transaction, given, member.token, limit)
        try:
            with self._translated(what):
                call_within(limit + OVERTIME_SECONDS, call)
        except TimeoutError:
            self._is_stuck = True
            raise ClientError(f"{what}: no answer within {limit + OVERTIME_SECONDS:.1f} s", Failure.LATE) from None

    def commit(self, seconds: float) -> None:
        with self._translated("committing a transaction"):
            self._producer.commit_transaction(max(seconds, LEAST_SECONDS))
        self._batching.committed()

    def abort(self, seconds: float) -> None:
        with self._translated("undoing a transaction"):
            self._producer.abort_transaction(max(seconds, LEAST_SECONDS))

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Name the message that made a transaction fail, where one did: the library only says that it failed."""
        try:
            yield
        except KafkaException as exception:
            error = kafka_error(exception)
            self._reports.notice(error)
            self._reports.serve()
            for one in self._transaction:
                one.await_cause()
            failed = next((one.error for one in self._transaction if one.error is not None), None)
            raise self._refusal(what, self._reports.fatal or failed or error) from exception

    def _refusal(self, what: str, error: KafkaError) -> ClientError:
        """What to raise for an error of a transaction."""
        found = error_of(what, error)
        if found.failure is Failure.TOO_LARGE and self._batching.refused():
            return ClientError(str(found), Failure.BATCH_TOO_LARGE)
        return found

    def is_fenced(self) -> bool:
        self._reports.serve()
        fatal = self._reports.fatal
        return fatal is not None and failure_of_kafka(fatal) is Failure.FENCED

    def discard(self) -> None:
        if self._is_open:
            self._is_open = False
            close_quietly("the producer", self._end)

    def close(self, seconds: float) -> None:
        if self._is_open:
            self._flushed(seconds)
        self.discard()

    def _end(self) -> None:
        """Drop what is not sent, and end threads and connections.

        `close` of the library would wait without a limit for the broker to undo an open transaction; when the object
        goes, the library leaves that to the broker.
        """
        if not self._is_stuck:
            self._producer.purge()
            self._reports.serve()
        if not self._is_transactional:
            self._producer.close()
        del self._producer, self._reports.producer


def _headers(message: Message) -> Any:
    """The library ends the process over a name that is no text: `encode` raises for one. It writes null as well."""
    for name, _ in message.headers:
        name.encode()
    return [(name, value or b"") for name, value in message.headers]
