"""A producer on kafka-python."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any
from zlib import crc32

from kafka import KafkaProducer, Serializer, TopicPartition
from kafka.errors import InvalidProducerEpochError, ProducerFencedError

from monitor.beats.beat import MAX_KEY_BYTES
from monitor.broker.client import ClientError, Failure
from monitor.broker.kafka_python.client_errors import close_quietly, translated_connect_errors, translated_errors
from monitor.broker.kafka_python.config import client_config
from monitor.broker.kafka_python.offsets import to_commit
from monitor.broker.kafka_python.transactional import transaction_calls
from monitor.broker.limits import MAX_REQUEST_BYTES, SEND_BATCH_BYTES, TRANSACTION_MS, WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitor.broker.client import CommittedOffset, Membership
    from monitor.records.record import Message
    from monitor.settings import Settings

DISCARD_SECONDS = 5.0
_NULL_KEY = object()
_FENCED = (ProducerFencedError, InvalidProducerEpochError)


class _Keys(Serializer):  # type: ignore[misc]
    """Allows a record whose key and value are both null: `send` refuses it, Kafka does not."""

    def serialize(self, _topic: str, _headers: object, data: Any) -> Any:
        return None if data is _NULL_KEY else data


class KafkaPythonSending:
    """Implements `client.Sending`."""

    def __init__(self, messages: list[Message], futures: list[Any], failure: ClientError | None) -> None:
        """`futures`: of the first messages. `failure`: why the client did not take the rest, where it did not."""
        self._messages, self._futures, self._failure = messages, futures, failure

    def wait(self, deadline: float) -> None:
        late, failed = None, self._failure
        for future in self._futures:
            try:
                with translated_errors("sending"):
                    future.get(timeout=max(0.0, deadline - time.monotonic()))
            except ClientError as error:
                late, failed = (late, error) if future.is_done else (error, failed)
        if failed is not None:
            is_late = failed.failure is Failure.LATE  # the client has given it up: it will not come
            raise ClientError(str(failed), Failure.PASSING if is_late else failed.failure) from failed
        if late is not None:
            raise ClientError(str(late), Failure.LATE) from late

    def unacknowledged(self) -> list[Message]:
        pairs = zip(self._messages, self._futures, strict=False)
        unanswered = [message for message, future in pairs if not (future.is_done and future.succeeded())]
        return unanswered + self._messages[len(self._futures) :]


class KafkaPythonProducer:
    """Implements `client.ProducerClient`."""

    def __init__(
        self, settings: Settings, wait_seconds: float, *, transactional_id: str | None, linger_ms: int
    ) -> None:
        # retry_backoff_ms: the client may sleep so long before every transactional request (100 ms by default)
        own: dict[str, Any] = {"retry_backoff_ms": 20}
        if transactional_id is not None:
            own = {
                "retry_backoff_ms": 5,
                "transactional_id": transactional_id,
                "transaction_timeout_ms": TRANSACTION_MS,
            }
        with translated_connect_errors(settings):
            self._producer = KafkaProducer(
                **client_config(settings, wait_seconds),
                key_serializer=_Keys(),
                allow_auto_create_topics=False,
                max_block_ms=int(1000 * WAIT_SECONDS),
                max_request_size=MAX_REQUEST_BYTES,
                batch_size=SEND_BATCH_BYTES,
                linger_ms=linger_ms,
                metadata_max_age_ms=30_000,  # so that added partitions are found
                metrics_enabled=False,
                **own,
            )
        self._calls = transaction_calls(self._producer)

    def send(self, messages: Iterable[Message], times_ms: Sequence[int | None] = ()) -> KafkaPythonSending:
        messages, futures = list(messages), list[Any]()
        failure: ClientError | None = None
        try:
            with translated_errors("sending"):
                for message, time_ms in zip(messages, times_ms or [None] * len(messages), strict=True):
                    futures.append(self._send(message, time_ms))
        except ClientError as error:
            failure = error
        return KafkaPythonSending(messages, futures, failure)

    def _send(self, message: Message, time_ms: int | None) -> Any:
        return self._producer.send(
            message.topic,
            key=_NULL_KEY if message.key is None else message.key,
            value=message.value,
            partition=self._partition(message),
            headers=[(name, value or b"") for name, value in message.headers],  # the client cannot write a null one
            timestamp_ms=time_ms,
        )

    def _partition(self, message: Message) -> int | None:
        """The partition of a message; None: the client chooses it, from the key.

        The client hashes a key in Python, 1 µs a byte. So another hash places a key that is too long to name a source.
        """
        if message.partition is not None or message.key is None or len(message.key) <= MAX_KEY_BYTES:
            return message.partition
        partitions = sorted(self._producer.partitions_for(message.topic))
        return int(partitions[crc32(message.key) % len(partitions)])

    def flush(self, seconds: float) -> None:
        with translated_errors("waiting for acknowledgements"):
            self._producer.flush(timeout=seconds)

    def partitions(self, topic: str) -> set[int]:
        with translated_errors(f"asking for the partitions of {topic}"):
            return set(self._producer.partitions_for(topic))

    def init_transactions(self, seconds: float) -> None:
        """The client waits for `max_block_ms`; the same call after that goes on waiting."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with translated_errors("beginning transactions"):
                    self._producer.init_transactions()
            except ClientError as error:
                if error.failure is not Failure.LATE or time.monotonic() >= deadline:
                    raise
            else:
                return

    def begin(self) -> None:
        with translated_errors("beginning a transaction"):
            self._producer.begin_transaction()

    def send_offsets(
        self, topic: str, offsets: Mapping[int, CommittedOffset], member: Membership, seconds: float
    ) -> None:
        given = {TopicPartition(topic, one): to_commit(offset) for one, offset in offsets.items()}
        with translated_errors("adding offsets to a transaction"):
            self._calls.send_offsets(given, member.token, seconds)

    def commit(self, seconds: float) -> None:
        with translated_errors("committing a transaction"):
            self._calls.commit(seconds)

    def abort(self, seconds: float) -> None:
        with translated_errors("undoing a transaction"):
            self._calls.abort(seconds)

    def is_fenced(self) -> bool:
        return isinstance(self._calls.last_error(), _FENCED)

    def discard(self) -> None:
        self._calls.force_close()
        self.close(DISCARD_SECONDS)

    def close(self, seconds: float) -> None:
        close_quietly("the producer", partial(self._producer.close, timeout=seconds))
