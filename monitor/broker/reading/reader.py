"""Reads a topic without belonging to a group, and reads a topic to its end."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from monitor.broker.choice import kafka_client
from monitor.broker.connection.diagnosis import no_topic
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from monitor.broker.client import TopicClient, TopicRecord
    from monitor.settings import Settings

T = TypeVar("T")

IDLE_SECONDS = 60.0  # without a record: then a transaction is open, or the broker is gone

TAIL_RECORDS = 100  # at the end of a partition, among which a record is looked for


def read_to_end(
    client: TopicClient, topic: str, ends: Mapping[int, int], *, idle_seconds: float, poll_seconds: float = 0.5
) -> Iterator[TopicRecord]:
    """Every record of the partitions up to the offsets `ends`, from where the client stands. Raises as `polls` does."""
    for records in polls(client, topic, ends, partial(client.poll, poll_seconds), idle_seconds=idle_seconds):
        yield from records


def polls(
    client: TopicClient,
    topic: str,
    ends: Mapping[int, int],
    poll: Callable[[], list[T]],
    *,
    idle_seconds: float = IDLE_SECONDS,
) -> Iterator[list[T]]:
    """What each `poll` of the client brings, nothing included, until it stands at the offsets `ends`.

    The client's position decides, since a log may end in transaction markers, and an empty poll is not the end.
    Raises BrokerError when no record comes for `idle_seconds`: a transaction that is still open holds the end back.
    """
    deadline = time.monotonic() + idle_seconds
    while _is_before(client.positions(), ends):
        if time.monotonic() > deadline:
            raise BrokerError(
                f"the end of {topic} was not reached: no record came for {idle_seconds:g} s; a transaction may be open"
            )
        polled = poll()
        yield polled
        if polled:
            deadline = time.monotonic() + idle_seconds


def _is_before(positions: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return any(positions.get(partition, 0) < end for partition, end in ends.items())


def found_partitions(client: TopicClient, topic: str) -> list[int]:
    """The partitions of the client's topic. Raises BrokerError where there is no such topic."""
    if found := client.partitions():
        return found
    raise BrokerError(no_topic([topic], "its broker"))


class Reader:
    """Reads every partition of one topic, committed records only, from its beginning or from now on."""

    def __init__(self, settings: Settings, topic: str, *, from_beginning: bool, wait_ms: int = 500) -> None:
        """`wait_ms`: how long the broker may hold back its answer while there is no record."""
        self._topic = topic
        self._client = kafka_client(settings).topic(settings, topic, wait_ms)
        try:
            self._partitions = found_partitions(self._client, topic)
            bounds = self._client.beginnings if from_beginning else self._client.ends
            self._client.start(bounds(self._partitions))
        except BrokerError:
            self.close()
            raise

    def beginnings(self) -> dict[int, int]:
        """Offset of the oldest record of each partition."""
        return self._client.beginnings(self._partitions)

    def after_last(self, partitions: Collection[int], limit_seconds: float = 60.0) -> dict[int, int]:
        """Offset after the last record of these partitions that can be read; those that there are not are left out.

        A partition may end in markers of transactions: who reads it stands before them until the next record comes.
        """
        there = [partition for partition in partitions if partition in self._partitions]
        ends, begins = self._client.ends(there), self._client.beginnings(there)
        self._client.start({one: max(begins[one], ends[one] - TAIL_RECORDS) for one in there})
        last = dict(ends)
        last |= {
            record.partition: record.offset + 1
            for record in read_to_end(self._client, self._topic, ends, idle_seconds=limit_seconds)
        }
        return last

    def is_outdated(self) -> bool:
        """Whether the topic has other partitions now, or was made again: this reader then misses what another reads.

        Raises BrokerError where the broker does not answer. kafka-python asks for partitions every five minutes.
        """
        ends, positions = self._client.ends(self._partitions), self._client.positions()
        is_shorter = any(ends[partition] < position for partition, position in positions.items())
        return is_shorter or self._client.partitions() != self._partitions

    def poll(self, seconds: float = 0.5) -> list[TopicRecord]:
        """The records that came within `seconds`."""
        return self._client.poll(seconds)

    def until_end(self, limit_seconds: float = IDLE_SECONDS) -> Iterator[TopicRecord]:
        """Every record up to the end as it is now. Raises BrokerError when none comes for as long as the limit."""
        ends = self._client.ends(self._partitions)
        yield from read_to_end(self._client, self._topic, ends, idle_seconds=limit_seconds)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
