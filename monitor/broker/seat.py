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
from typing import TYPE_CHECKING, Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition

from monitor.broker.connection import speaking
from monitor.errors import BrokerError
from monitor.record import Resumed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from monitor.broker.store import Store
    from monitor.metrics import Metrics
    from monitor.settings import Settings

log = logging.getLogger(__name__)

TAKE_MS = 2000
EACH_SECONDS = 10.0
RETRY_SECONDS = 5.0  # an open transaction of a dead member ends after 10 s, and the broker looks every 10 s
CLOCK = "clock="


def note(offset: int, clock: int | None) -> OffsetAndMetadata:
    """An offset to commit, with the partition's clock in its metadata: the two are one decision."""
    return OffsetAndMetadata(offset, "" if clock is None else f"{CLOCK}{clock}", -1)


def noted_clock(metadata: str | None) -> int | None:
    """The clock that was committed with an offset; None where somebody else set it."""
    text = (metadata or "").removeprefix(CLOCK)
    return int(text) if text != metadata and text.removeprefix("-").isdecimal() else None


class Seats:
    """The partitions of one member, each with the offset that is expected next."""

    def __init__(self, settings: Settings, store: Store, metrics: Metrics) -> None:
        self._settings, self._store, self._metrics = settings, store, metrics
        self._is_atomic = settings.delivery == "exactly-once"
        self._next: dict[int, int] = {}
        self._lost: set[int] = set()
        self._retry_at: dict[int, float] = {}

    def has(self, partition: int) -> bool:
        return partition in self._next

    def lose(self, partitions: Collection[int]) -> None:
        """Give up these."""
        for partition in partitions:
            if self._next.pop(partition, None) is not None:
                self._lost.add(partition)

    def lose_all(self) -> None:
        self.lose(list(self._next))

    def lost(self) -> frozenset[int]:
        """Partitions that were given up since the last call and not taken again."""
        lost, self._lost = frozenset(self._lost - self._next.keys()), set()
        return lost

    def take(self, consumer: KafkaConsumer) -> dict[int, Resumed]:
        """Take every assigned partition that is not taken, and set the consumer to its place.

        One that cannot be taken now, as that of a dead leader or of a member that left a transaction open, is tried
        again a little later, and does not hold up the others. Raises BrokerError when there are no others.
        """
        now = time.monotonic()
        wanted = [tp for tp in sorted(consumer.assignment()) if tp.partition not in self._next]
        due = [tp for tp in wanted if self._retry_at.get(tp.partition, 0.0) <= now]
        if not due:
            return {}
        if len(due) > 1:
            with contextlib.suppress(BrokerError):
                return self._take(consumer, due)
        return self._take_each(consumer, due)

    def _take_each(self, consumer: KafkaConsumer, due: list[TopicPartition]) -> dict[int, Resumed]:
        resumed: dict[int, Resumed] = {}
        failures: dict[int, BrokerError] = {}
        deadline = time.monotonic() + EACH_SECONDS
        for tp in due:
            try:
                resumed |= self._take(consumer, [tp])
            except BrokerError as error:
                failures[tp.partition] = error
                self._retry_at[tp.partition] = time.monotonic() + RETRY_SECONDS
            if time.monotonic() > deadline:  # the others' turn comes at the next poll
                break
        if not self._next:
            raise next(iter(failures.values()))
        for partition, failure in failures.items():
            log.warning("partition %d is not read yet: %s: trying again", partition, failure)
        return resumed

    def _take(self, consumer: KafkaConsumer, wanted: list[TopicPartition]) -> dict[int, Resumed]:
        with speaking("taking over partitions"):
            places = self._places(consumer, wanted)
            states = self._store.read([tp.partition for tp in wanted])
            for tp in wanted:
                consumer.seek(tp, places[tp].offset)
        self._next |= {tp.partition: places[tp].offset for tp in wanted}
        self._metrics.restored_sources.inc(sum(map(len, states.values())))
        return {
            tp.partition: Resumed(
                places[tp].offset, noted_clock(places[tp].metadata), states[tp.partition], self._is_atomic
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
                places[tp] = note(policy[tp], None)
            elif first[tp] <= committed.offset and (committed.offset <= end[tp] or not self._is_atomic):
                places[tp] = committed  # what else than Kafka tells as the end is not always the end
            else:
                self._tell_gap(tp, committed.offset, policy[tp], first[tp])
                places[tp] = note(policy[tp], noted_clock(committed.metadata))
        return places

    def expects(self, consumer: KafkaConsumer, tp: TopicPartition, batch: Sequence[Any]) -> bool:
        """Whether records may be judged: the partition is taken, and they go on where it stood.

        Gaps are usual (transaction markers, compaction), but not below the first record that is kept: there the
        client, overtaken by retention, went on by MONITOR_OFFSET_RESET without a word.
        """
        expected = self._next.get(tp.partition)
        if expected is None:
            return False
        offset = batch[0].offset
        if offset < expected and self._is_atomic:  # nobody may read backwards: look again where this partition stands
            self.lose({tp.partition})
            return False
        if not expected <= offset <= expected + 1:
            with speaking("asking for the first beats"):
                self._tell_gap(tp, expected, offset, consumer.beginning_offsets([tp], TAKE_MS)[tp])
        self._next[tp.partition] = batch[-1].offset + 1
        return True

    def _tell_gap(self, tp: TopicPartition, expected: int, offset: int, first: int) -> None:
        if first <= expected <= offset:
            return
        lost = max(0, offset - expected)
        self._metrics.offset_resets.inc()
        self._metrics.lost_records.inc(lost)
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


class Changes(ConsumerRebalanceListener):  # type: ignore[misc]
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
