"""Polls so that a partition with very many records does not keep the others waiting. For correctness.

kafka-python 3.0.12 returns all that it has fetched of one partition before it turns to the next: 20,000 pieces of junk
in one partition kept the beats of all others waiting for 13 s. So a partition whose records have filled a poll is
paused for the next one, by the public API.

Of a paused partition the client keeps what it has fetched. It goes on with that only while it holds no records of
another partition, and what it holds may be used up: the first partition then stands still for good.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from monitor.broker.kafka_python import known_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka import TopicPartition

    from monitor.broker.kafka_python.step_bytes import StepBytes
    from monitor.broker.limits import StepLimit

    Polled = dict[TopicPartition, list[Any]]


class FairPoll:
    """The polls of one consumer. No other calls may poll it."""

    def __init__(self, consumer: Any, step_bytes: StepBytes) -> None:
        known_versions.require_known()
        self._consumer, self._bytes = consumer, step_bytes
        self._served: set[TopicPartition] = set()  # each has filled a poll, and others may have waited since

    def poll(self, timeout_ms: int, limit: StepLimit) -> Polled:
        """The next records: of partitions that had to wait, where any have come; else of any partition."""
        self._bytes.limit = limit.bytes
        polled = self._of_others(limit) or self._polled(timeout_ms, limit)
        if polled and (self._bytes.is_used_up or sum(map(len, polled.values())) >= limit.records):
            self._served.add(next(reversed(polled)))
        else:
            self._served.clear()
        return polled

    def _polled(self, timeout_ms: int, limit: StepLimit) -> Polled:
        fetcher = self._consumer._fetcher
        if not fetcher._next_partition_records:  # used up: `None` lets the client turn to what it has kept
            fetcher._next_partition_records = None
        polled: Polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=limit.records)
        return polled

    def _of_others(self, limit: StepLimit) -> Polled:
        """What the client has of partitions without a turn since the first of `_served` had its own. It never waits.

        While the group rebalances it may return early, without records. `poll` then asks again, and waits.
        """
        polled: Polled = {}
        if self._served:
            with self._paused(self._served & self._consumer.assignment()):
                polled = self._polled(0, limit)
        if not polled:
            self._served.clear()
        return polled

    @contextmanager
    def _paused(self, partitions: set[TopicPartition]) -> Iterator[None]:
        """Pause these partitions for the block, apart from those that were paused before."""
        partitions = partitions - self._consumer.paused()
        try:
            for one in partitions:
                with suppress(KeyError):  # revoked on the client's IO thread
                    self._consumer.pause(one)
            yield
        finally:
            for one in partitions:
                with suppress(KeyError):
                    self._consumer.resume(one)
