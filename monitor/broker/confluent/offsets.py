"""Asks for the bounds of partitions."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.client_errors import translated_errors

if TYPE_CHECKING:
    from collections.abc import Collection

    from confluent_kafka.admin import AdminClient

REQUEST_SECONDS = 3.0
PAUSE_SECONDS = 0.05
MARGIN_SECONDS = 1.0  # the library's own limit comes first, with a better text


def answer(future: Future[Any], what: str, seconds: float = REQUEST_SECONDS) -> Any:
    """What a request of an AdminClient brings. Raises ClientError."""
    try:
        with translated_errors(what):
            return future.result(seconds + MARGIN_SECONDS)
    except TimeoutError as error:
        raise ClientError(f"{what}: no answer came within {seconds:g} s", Failure.LATE) from error


class PartitionBounds:
    """Offsets of the oldest and after the newest records of one topic."""

    def __init__(self, admin: AdminClient, topic: str) -> None:
        self._admin, self._topic = admin, topic

    def beginnings(self, partitions: Collection[int]) -> dict[int, int]:
        return self._ask(partitions, OffsetSpec.earliest(), IsolationLevel.READ_COMMITTED)

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """After the last committed record."""
        return self._ask(partitions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)

    def log_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """After the last record, those of open transactions included."""
        return self._ask(partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)

    def _ask(self, partitions: Collection[int], spec: OffsetSpec, level: IsolationLevel) -> dict[int, int]:
        """Ask again while leaders move: the library does not."""
        deadline = time.monotonic() + REQUEST_SECONDS
        while partitions:
            try:
                return self._answers(partitions, spec, level)
            except ClientError as error:
                if error.failure is not Failure.PASSING or time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)
        return {}

    def _answers(self, partitions: Collection[int], spec: OffsetSpec, level: IsolationLevel) -> dict[int, int]:
        wanted = {TopicPartition(self._topic, partition): spec for partition in partitions}
        what = f"asking for the offsets of {self._topic}"
        self._admin.poll(0)  # hears of failed connections
        with translated_errors(what):
            asked = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=REQUEST_SECONDS)
        found: dict[int, int] = {tp.partition: answer(future, what).offset for tp, future in asked.items()}
        if min(found.values()) < 0:  # so the library puts it when a broker does not answer
            raise ClientError(f"{what}: no answer came within {REQUEST_SECONDS:g} s", Failure.LATE)
        return found
