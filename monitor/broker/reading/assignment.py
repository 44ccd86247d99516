"""The partitions of one member of the group: next offset, stream time and episode state of each.

Kafka assigns a partition to this member; the member then *restores* it: it asks for the committed offset, reads the
episode state and sets the consumer to that offset. Only restored partitions are read. When a partition is revoked or
assigned again, or a transaction failed, what is known of it is dropped, and it is restored again before its next record
is judged.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition

from monitor.broker.client_errors import translated_errors
from monitor.errors import BrokerError
from monitor.records.record import Assigned, BrokerFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from monitor.broker.reading.state_topic import StateTopic
    from monitor.settings import Settings

log = logging.getLogger(__name__)

REQUEST_MS = 2000
RETRY_SECONDS = 5.0  # an open transaction of a dead member ends after 10 s, and the broker looks every 10 s
MAX_RETRY_SECONDS = 20.0
STALL_SECONDS = 30.0  # less than /healthz waits before it names the partition
CHECK_GAP_SECONDS = 10.0  # no check for so long, as while the broker is unavailable: begin again
METADATA_PREFIX = "clock="


def offset_to_commit(offset: int, stream_time: int | None) -> OffsetAndMetadata:
    """An offset to commit, with the partition's stream time in its metadata, so that both change together."""
    return OffsetAndMetadata(offset, "" if stream_time is None else f"{METADATA_PREFIX}{stream_time}", -1)


def committed_stream_time(metadata: str | None) -> int | None:
    """The stream time that was committed with an offset; None where another program committed it."""
    text = (metadata or "").removeprefix(METADATA_PREFIX)
    if text == metadata or not text.removeprefix("-").isdecimal():
        return None
    return stream_time if abs(stream_time := int(text[:20])) < 2**63 else None


@dataclass(frozen=True, slots=True)
class Retry:
    """When a partition that could not be restored is tried again, and how often it was tried."""

    at: float = 0.0
    times: int = 0


class Assignment:
    """The restored partitions of one member, each with the offset that is expected next."""

    def __init__(self, settings: Settings, state: StateTopic) -> None:
        self._settings, self._state = settings, state
        self._facts = BrokerFacts()
        self._is_atomic = settings.delivery == "exactly-once"
        self._next: dict[int, int] = {}
        self._revoked: set[int] = set()
        self._retry: dict[int, Retry] = {}
        self._moved: dict[int, tuple[int, float]] = {}  # partition -> next offset, and since when it is that
        self._checked = 0.0

    def __len__(self) -> int:
        return len(self._next)

    def has(self, partition: int) -> bool:
        """Whether the partition is restored."""
        return partition in self._next

    def revoke(self, partitions: Collection[int]) -> None:
        """Drop what is known of these partitions."""
        for partition in partitions:
            self._retry.pop(partition, None)
            if self._next.pop(partition, None) is not None:
                self._revoked.add(partition)

    def revoke_all(self) -> None:
        self.revoke(list(self._next))

    def revoked(self) -> frozenset[int]:
        """Partitions that were revoked since the last call and not restored again."""
        revoked, self._revoked = frozenset(self._revoked - self._next.keys()), set()
        return revoked

    def facts(self) -> BrokerFacts:
        """What happened since the last call."""
        facts, self._facts = self._facts, BrokerFacts()
        return facts

    def stalled(self, lag: Mapping[int, int], now: float) -> list[int]:
        """Partitions that have records waiting but have brought none for STALL_SECONDS; called once a second.

        kafka-python 3.0.12: a request to a node that dies can stay in flight without end, and its partitions are not
        fetched meanwhile.
        """
        before, self._checked = self._checked, now
        known = self._moved if now - before < CHECK_GAP_SECONDS else {}
        self._moved = {
            partition: known[partition]
            if known.get(partition, (-1, now))[0] == offset and lag.get(partition)
            else (offset, now)
            for partition, offset in self._next.items()
        }
        return [partition for partition, (_, since) in self._moved.items() if now - since > STALL_SECONDS]

    def restore(self, consumer: KafkaConsumer) -> dict[int, Assigned]:
        """Restore the assigned partitions that are not restored yet, and set the consumer to their offsets.

        A partition whose leader is down, or in which a member left a transaction open, cannot be restored now. It is
        tried again at a later poll. A poll stops at the first such partition, so that it delays neither the other
        partitions nor the group for long. Raises BrokerError when no partition at all is restored.
        """
        wanted = [tp for tp in sorted(consumer.assignment()) if tp.partition not in self._next]
        fresh = [tp for tp in wanted if tp.partition not in self._retry]
        try:
            if fresh:
                return self._restore(consumer, fresh)
        except BrokerError as error:
            if len(fresh) == 1:
                self._put_off(consumer, fresh[0], error)
            self._retry |= {tp.partition: self._retry.get(tp.partition, Retry()) for tp in fresh}
        assigned: dict[int, Assigned] = {}
        due = [tp for tp in wanted if self._retry.get(tp.partition, Retry()).at <= time.monotonic()]
        for tp in sorted(due, key=lambda tp: self._retry[tp.partition].at):
            try:
                assigned |= self._restore(consumer, [tp])
            except BrokerError as error:
                self._put_off(consumer, tp, error)
                break
        return assigned

    def _put_off(self, consumer: KafkaConsumer, tp: TopicPartition, error: BrokerError) -> None:
        """Try it again later, with a longer pause each time. Until then the client must not wait for its offset."""
        before = self._retry.get(tp.partition, Retry())
        seconds = min(RETRY_SECONDS * 2**before.times, MAX_RETRY_SECONDS)
        self._retry[tp.partition] = Retry(time.monotonic() + seconds, before.times + 1)
        with contextlib.suppress(BrokerError), translated_errors("pausing"):
            consumer.seek(tp, 0)
            consumer.pause(tp)
        if not self._next:
            raise error
        if not before.times:
            log.warning("partition %d is not read yet: %s: trying again", tp.partition, error)

    def _restore(self, consumer: KafkaConsumer, wanted: list[TopicPartition]) -> dict[int, Assigned]:
        """Restore these partitions together. Raises BrokerError, and restores none, when one of them fails."""
        began = time.monotonic()
        try:
            return self._restored(consumer, wanted)
        finally:  # a restore that fails takes time as well
            self._facts += BrokerFacts(restore_seconds=(time.monotonic() - began,))

    def _restored(self, consumer: KafkaConsumer, wanted: list[TopicPartition]) -> dict[int, Assigned]:
        with translated_errors("restoring partitions"):
            positions = self._positions(consumer, wanted)
            states = self._state.read([tp.partition for tp in wanted])
            for tp in wanted:
                consumer.seek(tp, positions[tp].offset)
                consumer.resume(tp)
                self._retry.pop(tp.partition, None)
        self._next |= {tp.partition: positions[tp].offset for tp in wanted}
        self._facts += BrokerFacts(restored_sources=sum(map(len, states.values())))
        times = {tp: committed_stream_time(positions[tp].metadata) for tp in wanted}
        return {
            tp.partition: Assigned(positions[tp].offset, times[tp], states[tp.partition], self._is_atomic)
            for tp in wanted
        }

    def _positions(self, consumer: KafkaConsumer, wanted: list[TopicPartition]) -> dict[TopicPartition, Any]:
        first, end = consumer.beginning_offsets(wanted, REQUEST_MS), consumer.end_offsets(wanted, REQUEST_MS)
        policy = first if self._settings.offset_reset == "earliest" else end
        positions = {}
        for tp in wanted:
            committed = consumer.committed(tp, metadata=True, timeout_ms=REQUEST_MS)
            if committed is None:
                positions[tp] = offset_to_commit(policy[tp], None)
            elif first[tp] <= committed.offset and (committed.offset <= end[tp] or not self._is_atomic):
                positions[tp] = committed  # other brokers than Kafka do not always give the right end
            else:
                self._report_gap(tp, committed.offset, policy[tp], first[tp])
                positions[tp] = offset_to_commit(policy[tp], committed_stream_time(committed.metadata))
        return positions

    def expects(self, consumer: KafkaConsumer, tp: TopicPartition, offsets: NDArray[np.int64]) -> bool:
        """Whether records may be judged: their partition is restored, and they follow what was read before.

        Gaps are usual (transaction markers, compaction), but not when the expected offset is below the first record
        that is kept: then retention deleted records, and the client went on by MONITOR_OFFSET_RESET without an error.
        """
        expected = self._next.get(tp.partition)
        if expected is None:
            return False
        offset = int(offsets[0])
        if offset < expected and self._is_atomic:  # records that were judged already: restore from the committed offset
            self.revoke({tp.partition})
            return False
        if not expected <= offset <= expected + 1:
            with translated_errors("asking for the first beats"):
                self._report_gap(tp, expected, offset, consumer.beginning_offsets([tp], REQUEST_MS)[tp])
        self._next[tp.partition] = int(offsets[-1]) + 1
        return True

    def _report_gap(self, tp: TopicPartition, expected: int, offset: int, first: int) -> None:
        if first <= expected <= offset:
            return
        lost = max(0, offset - expected)
        self._facts += BrokerFacts(offset_resets=1, lost_records=lost)
        log.error(
            "%s partition %d: offset %d is out of range (the first kept is %d), %d records are lost to this group; it "
            "goes on at %d as MONITOR_OFFSET_RESET=%s says. Raise the topic's retention or add instances",
            tp.topic,
            tp.partition,
            expected,
            first,
            lost,
            offset,
            self._settings.offset_reset,
        )


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Collects partitions that were assigned or revoked. Runs on the client's IO thread, where calls to Kafka fail."""

    def __init__(self) -> None:
        self._changed: deque[int] = deque()

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._changed.extend(tp.partition for tp in revoked)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._changed.extend(tp.partition for tp in assigned)

    def changed(self) -> set[int]:
        """Partitions that were assigned or revoked since the last call, which must be restored again."""
        return {self._changed.popleft() for _ in range(len(self._changed))}
