"""Sends messages, and waits for the acknowledgement of each."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer, Serializer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from monitor.broker.client_errors import (
    START_SECONDS,
    close_quietly,
    translated_connect_errors,
    translated_errors,
)
from monitor.broker.connection.client_config import client_config
from monitor.broker.kafka_python.known_versions import is_patched
from monitor.broker.kafka_python.producing import MessageBatch, append, partition_of
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
BATCH_BYTES = 128 * 1024  # so that one batch holds the state of a partition: of several, each waits for the last
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_NULL_KEY = object()


class _Keys(Serializer):  # type: ignore[misc]
    """Allows a record whose key and value are both null: `send` refuses it, Kafka does not."""

    def serialize(self, _topic: str, _headers: object, data: Any) -> Any:
        return None if data is _NULL_KEY else data


def build_producer(settings: Settings, wait_seconds: float, **options: Any) -> KafkaProducer:
    """A producer that is idempotent, waits for all replicas and never creates topics."""
    with translated_connect_errors(settings):
        return KafkaProducer(
            **client_config(settings, wait_seconds),
            key_serializer=_Keys(),
            allow_auto_create_topics=False,
            max_block_ms=int(1000 * WAIT_SECONDS),
            max_request_size=MAX_REQUEST_BYTES,
            metadata_max_age_ms=30_000,  # so that added partitions are found
            metrics_enabled=False,
            **({"retry_backoff_ms": 20, "batch_size": BATCH_BYTES} | options),
        )


def send(producer: KafkaProducer, message: Message, timestamp_ms: int | None = None) -> Any:
    """Give one message to the producer; returns the future of its acknowledgement."""
    return producer.send(
        message.topic,
        key=_NULL_KEY if message.key is None else message.key,
        value=message.value,
        partition=message.partition,
        headers=[(name, value or b"") for name, value in message.headers],  # the client cannot write a null one
        timestamp_ms=timestamp_ms,
    )


def send_all(producer: Any, messages: Sequence[Message], *, is_patched: bool) -> Iterator[MessageBatch]:
    """Give messages to the producer, in their order within each partition; those before an error are sent.

    The client's own `send` is used for a message whose partition only it can choose, and for all of them where the
    client is not patched.
    """
    gathered: dict[TopicPartition, list[Message]] = defaultdict(list)
    known: dict[tuple[str, int | None], TopicPartition | None] = {}
    is_bulk = is_patched and not producer.config["compression_type"]
    for message in messages:
        route = message.topic, message.partition
        target = known.get(route)
        if target is None and is_bulk:
            target = partition_of(producer, message)
            if message.partition is not None:
                known[route] = target
        if target is not None:
            gathered[target].append(message)
            continue
        yield from append(producer, gathered)  # the messages before this one
        gathered.clear()
        yield MessageBatch((message,), None, [send(producer, message)])
    yield from append(producer, gathered)


class AcknowledgedProducer:
    """A producer without transactions, and the messages that it has not acknowledged yet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: KafkaProducer | None = build_producer(settings, START_SECONDS)
        self._batch: tuple[Message, ...] = ()
        self._unsent: list[Message] = []
        self._waiting: list[MessageBatch] = []
        self._failure: KafkaError | None = None  # the last one that a message met

    def deliver(self, messages: tuple[Message, ...]) -> None:
        """Return when the broker has acknowledged every message.

        Raises BrokerError when that takes longer than a few seconds. A call with the same tuple then goes on waiting,
        and sends again only messages that have failed for good.
        """
        if messages is not self._batch:
            self._batch, self._unsent, self._waiting = messages, list(messages), []
        with translated_errors("sending alerts"):
            if self._unsent:
                for batch in send_all(self._ready(), tuple(self._unsent), is_patched=is_patched(self._settings)):
                    self._waiting.append(batch)
                    del self._unsent[: len(batch)]
            self._wait_until(time.monotonic() + WAIT_SECONDS)
            if any(batch.has_failed for batch in self._waiting):
                self._send_alone()
        if self._waiting:
            left = f"{sum(map(len, self._waiting))} of {len(messages)} messages"
            raise BrokerError(f"{left} are not acknowledged: {self._failure}") from self._failure

    def _ready(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = build_producer(self._settings, WAIT_SECONDS)
        return self._producer

    def _wait_until(self, deadline: float) -> None:
        """Wait for acknowledgements; keep the batches that failed or have no answer yet."""
        for batch in self._waiting:
            try:
                batch.get(timeout=max(0.0, deadline - time.monotonic()))
            except KafkaError as error:
                self._failure = error
        self._waiting = [batch for batch in self._waiting if batch.unacknowledged()]

    def _send_alone(self) -> None:
        """Send failed messages again with a new producer, one at a time, so that each error belongs to its message.

        kafka-python 3.0.12: one batch that the broker refuses puts an idempotent producer into a fatal state, in which
        all its other batches fail with the same error.
        """
        self.close()
        self._unsent = [message for batch in self._waiting for message in batch.unacknowledged()]
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
        if self._producer is not None:  # messages that it did not send are kept here, or their beats are read again
            close_quietly("the producer", partial(self._producer.close, timeout=WAIT_SECONDS))
        self._producer = None


def _smaller(message: Message) -> Message:
    """What to send of a record that is too large for its topic: its value is left out, and a header says so."""
    size = len(message.value or b"")
    log.error("the broker refuses %d bytes for %s: raise max.message.bytes of that topic", size, message.topic)
    return without_value(message) if message.may_omit_value else message
