"""The calls of a transaction, with a time limit for each. For correctness.

kafka-python 3.0.12 waits without a limit for the answers to `send_offsets_to_transaction`, `commit_transaction` and
`abort_transaction`. `AsShipped` makes these calls through the public API alone. A coordinator that never answers then
blocks the loop; `/healthz` reports it, and the supervisor restarts the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kafka.errors import KafkaTimeoutError

from monitor.broker.kafka_python import known_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
    from kafka.structs import ConsumerGroupMetadata


class TransactionCalls(Protocol):
    """The calls to a transactional producer after its messages were sent."""

    def send_offsets(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], member: ConsumerGroupMetadata, seconds: float
    ) -> None:
        """Add offsets to the transaction. Raises KafkaTimeoutError when no answer comes within `seconds`."""

    def commit(self, seconds: float) -> None:
        """End the transaction. Raises KafkaTimeoutError as above."""

    def abort(self, seconds: float) -> None:
        """Undo the transaction. Raises KafkaTimeoutError as above."""

    def force_close(self) -> None:
        """Stop sending, so that the producer's `close` returns soon."""

    def last_error(self) -> BaseException | None:
        """The error that ended the producer; None if there is none, or if it is not known."""


class Bounded:
    """Uses the producer's private transaction manager, which takes a time limit for each wait."""

    def __init__(self, producer: Any) -> None:
        known_versions.require_known()
        self._sender, self._manager = producer._sender, producer._transaction_manager

    def send_offsets(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], member: ConsumerGroupMetadata, seconds: float
    ) -> None:
        self._wait(self._manager.send_offsets_to_transaction(dict(offsets), member), seconds)

    def commit(self, seconds: float) -> None:
        self._wait(self._manager.begin_commit(), seconds)

    def abort(self, seconds: float) -> None:
        self._wait(self._manager.begin_abort(), seconds)

    def _wait(self, result: Any, seconds: float) -> None:
        self._sender.wakeup()  # as the client does where it waits itself
        if not result.wait(timeout_ms=max(1.0, 1000 * seconds)):
            raise KafkaTimeoutError(f"no answer within {max(0.0, seconds):.1f} s")

    def force_close(self) -> None:
        self._sender.force_close()

    def last_error(self) -> BaseException | None:
        error: BaseException | None = self._manager.last_error if self._manager else None
        return error


class AsShipped:
    """Uses the public API of the client, which takes no time limit."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer

    def send_offsets(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], member: ConsumerGroupMetadata, seconds: float
    ) -> None:
        _check_time(seconds)
        self._producer.send_offsets_to_transaction(dict(offsets), member)

    def commit(self, seconds: float) -> None:
        _check_time(seconds)
        self._producer.commit_transaction()

    def abort(self, seconds: float) -> None:
        _check_time(seconds)
        self._producer.abort_transaction()

    def force_close(self) -> None:
        """The public API has no such call: `close` takes as long as its limit allows."""

    def last_error(self) -> BaseException | None:
        return None


def _check_time(seconds: float) -> None:
    if seconds <= 0:
        raise KafkaTimeoutError("no time is left for the transaction")


def transaction_calls(producer: KafkaProducer) -> TransactionCalls:
    """These calls for a producer, with limits where the client is a known one."""
    return Bounded(producer) if known_versions.is_known() else AsShipped(producer)
