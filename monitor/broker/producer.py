"""The writing half: messages out, every acknowledgement looked at."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer, Serializer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from monitor.broker.connection.client_config import (
    START_SECONDS,
    client_config,
    close_quietly,
    translated_connect_errors,
    translated_errors,
)
from monitor.broker.kafka_python.producing import MessageBatch, append, fits, place
from monitor.deadletters.letter import without_value
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kafka import TopicPartition

    from monitor.records.record import Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
MAX_REQUEST_BYTES = 64 * 1024 * 1024  # the broker's own limit decides what is too large
BATCH_BYTES = 128 * 1024  # a step's state of a partition in one: of several, each waits for the one before it
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_NULL_KEY = object()


class _Keys(Serializer):  # type: ignore[misc]
    """Lets a record pass whose key and value are both null: `send` refuses a null key, Kafka does not."""

    def serialize(self, _topic: str, _headers: object, data: Any) -> Any:
        return None if data is _NULL_KEY else data


def build_producer(settings: Settings, wait_seconds: float, **options: Any) -> KafkaProducer:
    """A producer that is idempotent, waits for all replicas and never makes topics."""
    with translated_connect_errors(settings):
        return KafkaProducer(
            **client_config(settings, wait_seconds),
            key_serializer=_Keys(),
            allow_auto_create_topics=False,
            max_block_ms=int(1000 * WAIT_SECONDS),
            max_request_size=MAX_REQUEST_BYTES,
            metadata_max_age_ms=30_000,  # so that partitions are found that were added
            metrics_enabled=False,
            **({"retry_backoff_ms": 20, "batch_size": BATCH_BYTES} | options),
        )


def send(producer: KafkaProducer, message: Message, timestamp_ms: int | None = None) -> Any:
    """Hand a message to the producer; its future."""
    return producer.send(
        message.topic,
        key=_NULL_KEY if message.key is None else message.key,
        value=message.value,
        partition=message.partition,
        headers=[(name, value or b"") for name, value in message.headers],  # the client cannot write a null one
        timestamp_ms=timestamp_ms,
    )


def hand_over(producer: Any, messages: Sequence[Message]) -> Iterator[MessageBatch]:
    """Hand on all of it, in the order that is given within each partition; what came before an error is handed on.

    What the client alone can place goes through its own `send`.
    """
    placed: dict[TopicPartition, list[Message]] = defaultdict(list)
    named: dict[tuple[str, int | None], TopicPartition | None] = {}
    is_bulk = fits() and not producer.config["compression_type"]
    for message in messages:
        route = message.topic, message.partition
        where = named.get(route)
        if where is None and is_bulk:
            where = place(producer, message)
            if message.partition is not None:
                named[route] = where
        if where is not None:
            placed[where].append(message)
            continue
        yield from append(producer, placed)  # what came before it goes before it
        placed.clear()
        yield MessageBatch((message,), None, [send(producer, message)])
    yield from append(producer, placed)


def is_answered(producer: Any, result: Any, seconds: float) -> bool:
    """Whether the broker answers a transactional request in time.

    kafka-python 3.0.12 itself waits without a limit (`send_offsets_to_transaction`, commit and abort).
    """
    producer._sender.wakeup()  # noqa: SLF001 - as the client does where it waits itself
    return bool(result.wait(timeout_ms=max(1.0, 1000 * seconds)))


class AcknowledgedProducer:
    """The producer, and what it was handed but has not been acknowledged for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: KafkaProducer | None = build_producer(settings, START_SECONDS)
        self._batch: tuple[Message, ...] = ()
        self._unsent: list[Message] = []
        self._waiting: list[MessageBatch] = []
        self._failure: KafkaError | None = None  # the last one that a message met

    def deliver(self, messages: tuple[Message, ...]) -> None:
        """Return when the broker has acknowledged every message.

        Raises BrokerError when it has not within a few seconds; the same tuple handed in again goes on waiting, and
        sends anew only what has failed for good.
        """
        if messages is not self._batch:
            self._batch, self._unsent, self._waiting = messages, list(messages), []
        with translated_errors("sending alerts"):
            if self._unsent:
                for parcel in hand_over(self._ready(), tuple(self._unsent)):
                    self._waiting.append(parcel)
                    del self._unsent[: len(parcel)]
            self._settle(time.monotonic() + WAIT_SECONDS)
            if any(parcel.has_failed for parcel in self._waiting):
                self._send_alone()
        if self._waiting:
            left = f"{sum(map(len, self._waiting))} of {len(messages)} messages"
            raise BrokerError(f"{left} are not acknowledged: {self._failure}") from self._failure

    def _ready(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = build_producer(self._settings, WAIT_SECONDS)
        return self._producer

    def _settle(self, deadline: float) -> None:
        """Wait for the acknowledgements; keep those that failed or are still to come."""
        for parcel in self._waiting:
            try:
                parcel.get(timeout=max(0.0, deadline - time.monotonic()))
            except KafkaError as error:
                self._failure = error
        self._waiting = [parcel for parcel in self._waiting if parcel.unacknowledged()]

    def _send_alone(self) -> None:
        """Send what failed on a new producer, one at a time, so that each error is the message's own.

        kafka-python 3.0.12: one batch that the broker refuses puts an idempotent producer into a fatal state, in which
        it fails all its other batches with the same error, for ever.
        """
        self.close()
        self._unsent = [message for parcel in self._waiting for message in parcel.unacknowledged()]
        self._waiting = []
        while self._unsent:
            try:
                send(self._ready(), self._unsent[0]).get(timeout=WAIT_SECONDS)
            except TOO_LARGE:
                self._unsent[0] = _smaller(self._unsent[0])
                self.close()
                raise
            del self._unsent[0]

    def close(self) -> None:
        if self._producer is not None:  # whatever it could not send is in hand still, or will be read again
            close_quietly("the producer", partial(self._producer.close, timeout=WAIT_SECONDS))
        self._producer = None


def _smaller(message: Message) -> Message:
    """A record too large for its topic must not hold up its partition: keep its key and the reason, say what went."""
    size = len(message.value or b"")
    log.error("the broker refuses %d bytes for %s: raise max.message.bytes of that topic", size, message.topic)
    return without_value(message) if message.may_omit_value else message
