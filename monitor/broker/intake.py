"""The reading half: one member of the consumer group, its records as columns, its lag and its offsets."""

from __future__ import annotations

import logging
import time
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CommitFailedError, CorruptRecordError, IllegalStateError, KafkaError, RebalanceInProgressError
from kafka.structs import MemberState

from monitor.broker.connection import START_SECONDS, client_config, connecting, speaking
from monitor.broker.lenient import be_lenient
from monitor.errors import BrokerError
from monitor.record import Records

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monitor.settings import Settings

log = logging.getLogger(__name__)

POLL_MS = 1000  # less, and a poll that times out during a join can leave the member without partitions for good
LOOK_SECONDS = 1.0
LOOK_TIMEOUT_MS = 3000
COMMIT_TIMEOUT_MS = 5000
STUCK_SECONDS = 30.0


class Intake:
    """The consumer. Every method is for the one thread that walks the line."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.beats_topic
        self._changes = _Changes()
        self._lag: dict[int, int] = {}
        self._failure: BrokerError | None = None  # of the last look
        self._looked = self._stable = time.monotonic()
        self._is_broken = False
        self._consumer = self._build()

    def _build(self) -> KafkaConsumer:
        settings = self._settings
        with connecting(settings):
            consumer = KafkaConsumer(
                **client_config(settings, START_SECONDS),
                group_id=settings.group_id,
                auto_offset_reset=settings.offset_reset,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                isolation_level="read_committed",
                partition_assignment_strategy=(CooperativeStickyAssignor,),
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=max(100, min(3000, settings.session_timeout_ms // 3)),
                max_poll_records=settings.batch_size,
                fetch_min_bytes=64 * 1024,
                fetch_max_wait_ms=settings.max_wait_ms,
                max_partition_fetch_bytes=4 * 1024 * 1024,
                metadata_max_age_ms=30_000,  # so that added partitions are found
                metrics_enabled=False,
            )
            consumer.subscribe([self._topic], listener=self._changes)
        return consumer

    def poll(self) -> Records:
        if self._is_broken:  # the broker was away when it was to be rebuilt
            self._rebuild()
        self._look()
        with speaking("reading beats"):
            try:
                batches = self._consumer.poll(timeout_ms=POLL_MS)
            except CorruptRecordError as error:  # after which this client's next poll would never return
                log.warning("%s: reading it again, leniently", error)
                if not be_lenient():  # it was already: damage that only the broker can mend
                    self._failure = BrokerError(f"reading beats: {error}")
                self._rebuild()
                batches = {}
        if self._failure is not None and not batches:  # an empty poll is no sign of life
            raise self._failure
        self._failure = None
        return self._columns(batches)

    def _columns(self, batches: Mapping[TopicPartition, list[Any]]) -> Records:
        """The client's records as columns; nothing here runs once a record in Python."""
        rows = list(chain.from_iterable(batches.values()))
        _, partition, _, offset, stamp, _, key, value, headers, *_ = zip(*rows, strict=True) if rows else ((),) * 9
        return Records(
            self._topic,
            np.array(partition, np.int32),
            np.array(offset, np.int64),
            np.array(stamp, np.int64),
            key,
            value,
            headers,
            self._changes.take({tp.partition for tp in batches}),
        )

    def _look(self) -> None:
        """Once a second: how far the ends are, which also tells a broker without news from one that is lost."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        assigned = self._consumer.assignment()
        asked = list(assigned or {TopicPartition(self._topic, 0)})
        try:
            with speaking("asking for the end of the beats"):
                ends = self._consumer.end_offsets(asked, timeout_ms=LOOK_TIMEOUT_MS)
                positions = self._positions(assigned)
        except BrokerError as error:
            self._failure = error
            return
        finally:
            self._looked = time.monotonic()  # so that a poll comes between two looks that time out
        self._failure = None
        self._lag = {tp.partition: max(0, ends[tp] - position) for tp, position in positions}
        self._watch_membership(now)

    def _positions(self, assigned: Collection[TopicPartition]) -> list[tuple[TopicPartition, int]]:
        positions = []
        for tp in assigned:
            try:
                position = self._consumer.position(tp, timeout_ms=0)
            except IllegalStateError:  # revoked meanwhile
                continue
            if position is not None:
                positions.append((tp, position))
        return positions

    def _watch_membership(self, now: float) -> None:
        """Rebuild a member that does not get into the group.

        kafka-python 3.0.12: a poll that times out during a join caused by new metadata leaves the member unjoined for
        ever, its heartbeats off (`need_rejoin` turns false while the join never completes).
        """
        if self.joined():
            self._stable = now
        elif now - self._stable > max(STUCK_SECONDS, 2 * self._settings.session_timeout_ms / 1000):
            log.warning("this member has not joined group %s for long: joining anew", self._settings.group_id)
            self._stable = now
            self._rebuild()

    def _rebuild(self) -> None:
        self._is_broken = True
        self.close()
        self._consumer = self._build()
        self._is_broken = False

    def lag(self) -> Mapping[int, int]:
        return self._lag

    def joined(self) -> bool:
        return bool(self._consumer.group_metadata().state == MemberState.STABLE)

    def commit(self, offsets: Mapping[int, int]) -> bool:
        """Commit the offsets of the partitions that are still ours; False when the group asks to come again later."""
        mine = {tp.partition for tp in self._consumer.assignment()}
        wanted = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
            if partition in mine
        }
        if not wanted:
            return True
        with speaking("committing offsets"):
            try:
                self._consumer.commit(wanted, timeout_ms=COMMIT_TIMEOUT_MS)
            except RebalanceInProgressError:
                return False
            except CommitFailedError:
                log.warning("the group moved on without this member: its last beats will be read again")
        return True

    def close(self) -> None:
        try:
            self._consumer.close(autocommit=False, timeout_ms=COMMIT_TIMEOUT_MS)
        except KafkaError:
            log.warning("the consumer did not close in order", exc_info=True)


class _Changes(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes which partitions were assigned. Called on the client's IO thread, where any call to Kafka would fail."""

    def __init__(self) -> None:
        self._assigned: deque[int] = deque()
        self._pending: set[int] = set()

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        pass

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._assigned.extend(tp.partition for tp in assigned)

    def take(self, present: set[int]) -> frozenset[int]:
        """Of the partitions that have records now, those that were assigned since their last ones."""
        while self._assigned:
            self._pending.add(self._assigned.popleft())
        fresh = frozenset(self._pending & present)
        self._pending -= fresh
        return fresh
