"""Where a member stands in each of its partitions: the committed offset, the clock, and the state that goes with it.

A partition is read only after it was *taken*: its committed offset was asked for, its state read back, the consumer
set there. Whatever casts doubt on that (it was revoked, lost, assigned anew, or a transaction failed) gives the seat
up, and it is taken again before its next record is judged.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition

from monitor.broker.connection.client_config import translated_errors
from monitor.errors import BrokerError
from monitor.records.record import Assigned, BrokerFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from monitor.broker.changelog import StateTopic
    from monitor.settings import Settings

log = logging.getLogger(__name__)

TAKE_MS = 2000
RETRY_SECONDS = 5.0  # an open transaction of a dead member ends after 10 s, and the broker looks every 10 s
MAX_RETRY_SECONDS = 20.0
STALL_SECONDS = 30.0  # before /healthz blames the partition
LOOK_GAP_SECONDS = 10.0  # while the broker is away nobody looks, and nothing moves
CLOCK = "clock="


def offset_to_commit(offset: int, stream_time: int | None) -> OffsetAndMetadata:
    """An offset to commit, with the partition's clock in its metadata: the two are one decision."""
    return OffsetAndMetadata(offset, "" if stream_time is None else f"{CLOCK}{stream_time}", -1)


def committed_stream_time(metadata: str | None) -> int | None:
    """The clock that was committed with an offset; None where somebody else set it."""
    text = (metadata or "").removeprefix(CLOCK)
    if text == metadata or not text.removeprefix("-").isdecimal():
        return None
    return stream_time if abs(stream_time := int(text[:20])) < 2**63 else None


@dataclass(frozen=True, slots=True)
class Retry:
    """When a partition that could not be taken is tried again, and how often it was tried."""

    at: float = 0.0
    times: int = 0


class Assignment:
    """The partitions of one member, each with the offset that is expected next."""

    def __init__(self, settings: Settings, store: StateTopic) -> None:
        self._settings, self._store = settings, store
        self._facts = BrokerFacts()
        self._is_atomic = settings.delivery == "exactly-once"
        self._next: dict[int, int] = {}
        self._revoked: set[int] = set()
        self._retry: dict[int, Retry] = {}
        self._moved: dict[int, tuple[int, float]] = {}  # partition -> next offset, and since when it is that
        self._watched = 0.0

    def __len__(self) -> int:
        return len(self._next)

    def has(self, partition: int) -> bool:
        return partition in self._next

    def lose(self, partitions: Collection[int]) -> None:
        """Give up these."""
        for partition in partitions:
            self._retry.pop(partition, None)
            if self._next.pop(partition, None) is not None:
                self._revoked.add(partition)

    def lose_all(self) -> None:
        self.lose(list(self._next))

    def revoked(self) -> frozenset[int]:
        """Partitions that were given up since the last call and not taken again."""
        revoked, self._revoked = frozenset(self._revoked - self._next.keys()), set()
        return revoked

    def facts(self) -> BrokerFacts:
        """What happened since the last call."""
        facts, self._facts = self._facts, BrokerFacts()
        return facts

    def stalled(self, lag: Mapping[int, int], now: float) -> list[int]:
        """Partitions that are taken and have records waiting, but have brought none for long; asked once a second.

        kafka-python 3.0.12: a request to a node that dies can stay in flight for ever, and what it was for with it.
        """
        before, self._watched = self._watched, now
        known = self._moved if now - before < LOOK_GAP_SECONDS else {}
        self._moved = {
            partition: known[partition]
            if known.get(partition, (-1, now))[0] == offset and lag.get(partition)
            else (offset, now)
            for partition, offset in self._next.items()
        }
        return [partition for partition, (_, since) in self._moved.items() if now - since > STALL_SECONDS]

    def take(self, consumer: KafkaConsumer) -> dict[int, Assigned]:
        """Take the assigned partitions that are not taken, and set the consumer to their places.

        One that cannot be taken now, as that of a dead leader or of a member that left a transaction open, is tried
        again later, one a poll, so that it holds up neither the others nor the group. Raises BrokerError when that
        leaves nothing to read.
        """
        wanted = [tp for tp in sorted(consumer.assignment()) if tp.partition not in self._next]
        fresh = [tp for tp in wanted if tp.partition not in self._retry]
        try:
            if fresh:
                return self._take(consumer, fresh)
        except BrokerError as error:
            if len(fresh) == 1:
                self._put_off(consumer, fresh[0], error)
            self._retry |= {tp.partition: self._retry.get(tp.partition, Retry()) for tp in fresh}
        assigned: dict[int, Assigned] = {}
        due = [tp for tp in wanted if self._retry.get(tp.partition, Retry()).at <= time.monotonic()]
        for tp in sorted(due, key=lambda tp: self._retry[tp.partition].at):
            try:
                assigned |= self._take(consumer, [tp])
            except BrokerError as error:
                self._put_off(consumer, tp, error)
                break
        return assigned

    def _put_off(self, consumer: KafkaConsumer, tp: TopicPartition, error: BrokerError) -> None:
        """Try it again later, each time a little later still; meanwhile the client must not wait for its place."""
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

    def _take(self, consumer: KafkaConsumer, wanted: list[TopicPartition]) -> dict[int, Assigned]:
        began = time.monotonic()
        with translated_errors("taking over partitions"):
            places = self._places(consumer, wanted)
            states = self._store.read([tp.partition for tp in wanted])
            for tp in wanted:
                consumer.seek(tp, places[tp].offset)
                consumer.resume(tp)
                self._retry.pop(tp.partition, None)
        self._next |= {tp.partition: places[tp].offset for tp in wanted}
        self._facts += BrokerFacts(
            restored_sources=sum(map(len, states.values())), restore_seconds=(time.monotonic() - began,)
        )
        return {
            tp.partition: Assigned(
                places[tp].offset, committed_stream_time(places[tp].metadata), states[tp.partition], self._is_atomic
            )
            for tp in wanted
        }

    def _places(self, consumer: KafkaConsumer, wanted: list[TopicPartition]) -> dict[TopicPartition, Any]:
        first, end = consumer.beginning_offsets(wanted, TAKE_MS), consumer.end_offsets(wanted, TAKE_MS)
        policy = first if self._settings.offset_reset == "earliest" else end
        places = {}
        for tp in wanted:
            committed = consumer.committed(tp, metadata=True, timeout_ms=TAKE_MS)
            if committed is None:
                places[tp] = offset_to_commit(policy[tp], None)
            elif first[tp] <= committed.offset and (committed.offset <= end[tp] or not self._is_atomic):
                places[tp] = committed  # what else than Kafka tells as the end is not always the end
            else:
                self._tell_gap(tp, committed.offset, policy[tp], first[tp])
                places[tp] = offset_to_commit(policy[tp], committed_stream_time(committed.metadata))
        return places

    def expects(self, consumer: KafkaConsumer, tp: TopicPartition, offsets: NDArray[np.int64]) -> bool:
        """Whether records may be judged: the partition is taken, and they go on where it stood.

        Gaps are usual (transaction markers, compaction), but not below the first record that is kept: there the
        client, overtaken by retention, went on by MONITOR_OFFSET_RESET without a word.
        """
        expected = self._next.get(tp.partition)
        if expected is None:
            return False
        offset = int(offsets[0])
        if offset < expected and self._is_atomic:  # nobody may read backwards: look again where this partition stands
            self.lose({tp.partition})
            return False
        if not expected <= offset <= expected + 1:
            with translated_errors("asking for the first beats"):
                self._tell_gap(tp, expected, offset, consumer.beginning_offsets([tp], TAKE_MS)[tp])
        self._next[tp.partition] = int(offsets[-1]) + 1
        return True

    def _tell_gap(self, tp: TopicPartition, expected: int, offset: int, first: int) -> None:
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
    """Notes which partitions came and went. Called on the client's IO thread, where any call to Kafka would fail."""

    def __init__(self) -> None:
        self._noted: deque[int] = deque()

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._noted.extend(tp.partition for tp in revoked)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._noted.extend(tp.partition for tp in assigned)

    def take(self) -> set[int]:
        """The partitions whose place has to be looked up anew."""
        return {self._noted.popleft() for _ in range(len(self._noted))}
