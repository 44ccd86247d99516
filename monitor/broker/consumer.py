"""The reading half: one member of the consumer group, its records as columns, its lag and where it stands."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CommitFailedError, CorruptRecordError, KafkaError, RebalanceInProgressError
from kafka.structs import MemberState

from monitor.beats.beat import FLOAT32_BYTES
from monitor.broker.assignment import Assignment, RebalanceListener
from monitor.broker.blocks import RecordBlock, join
from monitor.broker.connection.client_config import (
    START_SECONDS,
    client_config,
    close_quietly,
    translated_connect_errors,
    translated_errors,
)
from monitor.broker.fetch_pace import FetchPace
from monitor.broker.kafka_python.fetching import ask_for, has_more, step_in
from monitor.broker.kafka_python.header_names import be_lenient
from monitor.errors import BrokerError, RewoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kafka.structs import ConsumerGroupMetadata

    from monitor.broker.changelog import StateTopic
    from monitor.records.record import Assigned, BrokerFacts, Records
    from monitor.settings import Settings

log = logging.getLogger(__name__)

POLL_MS = 1000  # less, and a poll that times out during a join can leave the member without partitions for good
LOOK_SECONDS = 1.0
LOOK_TIMEOUT_MS = 3000
COMMIT_TIMEOUT_MS = 5000
STUCK_SECONDS = 30.0
REBUILD_SECONDS = 5.0
REFUSALS = 3
FETCH_BYTES = 4 * 1024 * 1024
FETCH_STEPS = 16


class GroupConsumer:
    """The consumer. Every method is for the one thread that walks the line."""

    def __init__(self, settings: Settings, store: StateTopic) -> None:
        self._settings = settings
        self._topic = settings.beats_topic
        self._changes = RebalanceListener()
        self._pace = FetchPace(settings.max_wait_ms)
        self._assignment = Assignment(settings, store)
        self._lag: dict[int, int] = {}
        self._failure: BrokerError | None = None  # of the last look
        self._looked = self._stable = time.monotonic()
        self._is_broken = False
        self._refusals = 0  # in a row
        self._consumer = self._build(START_SECONDS)
        self.member: ConsumerGroupMetadata = self._consumer.group_metadata()  # as of the last poll
        self._joined_as = self.member  # the last one that was whole

    def _build(self, wait_seconds: float) -> KafkaConsumer:
        settings = self._settings
        batch_bytes = settings.batch_size * FLOAT32_BYTES
        with translated_connect_errors(settings):
            consumer = KafkaConsumer(
                **client_config(settings, wait_seconds),
                group_id=settings.group_id,
                auto_offset_reset=settings.offset_reset,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                # for the offsets as much as for the beats: only then does asking for committed ones wait for a
                # transaction that is still open, as that of a member which was frozen
                isolation_level="read_committed",
                partition_assignment_strategy=(CooperativeStickyAssignor,),
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=max(100, min(3000, settings.session_timeout_ms // 3)),
                max_poll_records=settings.batch_size,
                fetch_min_bytes=1,
                # one partition's fetch is drained before the next one's turn comes: not more than some steps of it
                max_partition_fetch_bytes=min(FETCH_BYTES, max(FETCH_BYTES // 16, FETCH_STEPS * batch_bytes)),
                metadata_max_age_ms=30_000,  # so that added partitions are found
                metrics_enabled=False,
            )
            if settings.bulk_fetch:
                step_in(consumer)
            consumer.subscribe([self._topic], listener=self._changes)
        return consumer

    def poll(self) -> Records:
        """Records of partitions whose place is known, and what to resume from of those that begin anew."""
        if self._is_broken:  # the broker was away when it was to be rebuilt
            self._rebuild()
        self._look()
        assigned = self._take()
        ask_for(self._consumer, *self._pace.ask())
        try:
            polled = self._poll()
            self._note_member()
            blocks = [block for tp, some in polled.items() for block in self._expected(tp, some)]
            self._pace.hear(sum(map(len, blocks)), sum(block.bytes for block in blocks), time.monotonic())
        except BrokerError as error:
            self._assignment.lose_all()  # the client would not bring these records again
            self._is_broken |= not isinstance(error.__cause__, KafkaError)  # its IO thread may be dead
            raise
        assigned = {partition: place for partition, place in assigned.items() if self._assignment.has(partition)}
        if self._failure is not None and not blocks and not assigned:  # an empty poll is no sign of life
            raise self._failure
        self._failure = None
        return join(self._topic, blocks, assigned, self._assignment.revoked())

    def has_more(self) -> bool:
        """Whether records were fetched that no poll has brought yet."""
        return not self._is_broken and has_more(self._consumer)

    def must_assign(self) -> bool:
        """Whether the next poll may ask where partitions stand that begin anew."""
        return self._is_broken or any(not self._assignment.has(tp.partition) for tp in self._consumer.assignment())

    def _take(self) -> dict[int, Assigned]:
        """Partitions that begin anew. That none can be taken must not keep this member from its group: poll goes on."""
        try:
            return self._assignment.take(self._consumer) if self.stable() else {}
        except BrokerError as error:
            self._failure = error
            return {}

    def _note_member(self) -> None:
        """First who this member is, then what it lost: what is lost later is refused under this generation.

        kafka-python 3.0.12 tells no listener when a member is put out of the group while it joins: it comes back under
        another name, claims what it had, and may get it, although others have read on meanwhile.
        """
        before, self.member = self._joined_as, self._consumer.group_metadata()
        is_same = self.member.member_id == before.member_id
        if not is_same or not 0 <= self.member.generation_id - before.generation_id <= 1:
            self._assignment.lose_all()
        if self.stable():
            self._joined_as = self.member
        self._assignment.lose(self._changes.take())

    def _poll(self) -> Mapping[TopicPartition, list[Any]]:
        with translated_errors("reading beats"):
            try:
                return self._consumer.poll(timeout_ms=POLL_MS)  # type: ignore[no-any-return]  # no types there
            except CorruptRecordError as error:  # after which this client's next poll would never return
                log.warning("%s: reading it again, leniently", error)
                if not be_lenient():  # it was already: damage that only the broker can mend
                    self._failure = BrokerError(f"reading beats: {error}")
                self._rebuild()
                return {}

    def _expected(self, tp: TopicPartition, brought: list[Any]) -> list[RecordBlock]:
        """What was brought of one partition, as far as it goes on where this member stands."""
        blocks = brought if isinstance(brought[0], RecordBlock) else [RecordBlock.of(brought)]
        return [block for block in blocks if self._assignment.expects(self._consumer, tp, block.offset)]

    def _look(self) -> None:
        """Once a second: how far the ends are; it also tells a broker without news from one that is lost."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        assigned = self._consumer.assignment()
        asked = list(assigned or {TopicPartition(self._topic, 0)})
        try:
            with translated_errors("asking for the end of the beats"):
                ends = self._consumer.end_offsets(asked, timeout_ms=LOOK_TIMEOUT_MS)
                positions = self._positions(assigned)
        except BrokerError as error:
            self._failure, self._stable = error, now
            return
        finally:
            self._looked = time.monotonic()  # so that a poll comes between two looks that time out
        self._failure = None
        self._lag = {tp.partition: max(0, ends[tp] - position) for tp, position in positions}
        self._watch_membership(now)
        if stalled := self._assignment.stalled(self._lag, now):
            log.warning("records wait in partitions %s, and none come: joining anew", stalled)
            self._is_broken = True

    def _positions(self, assigned: Collection[TopicPartition]) -> list[tuple[TopicPartition, int]]:
        positions = [(tp, self._consumer.position(tp, timeout_ms=0)) for tp in assigned]
        return [(tp, position) for tp, position in positions if position is not None]

    def _watch_membership(self, now: float) -> None:
        """Rebuild a member that stays out: a poll that times out during a join may leave it so for ever."""
        if self.stable():
            self._stable = now
        elif now - self._stable > max(STUCK_SECONDS, 2 * self._settings.session_timeout_ms / 1000):
            log.warning("this member has not joined group %s for long: joining anew", self._settings.group_id)
            self._stable = now
            self._rebuild()

    def _rebuild(self) -> None:
        self._is_broken = True
        self.close()
        self._assignment.lose_all()
        self._refusals = 0
        self._consumer = self._build(REBUILD_SECONDS)
        self._is_broken = False

    def rewind(self, *, is_refused: bool) -> None:
        """What was read since the last commit is void: go on from there. `is_refused`: the group does not take it.

        kafka-python 3.0.12 can hold a generation that is over and neither notice nor join again for a minute or so.
        """
        self._assignment.lose_all()
        self._refusals += is_refused
        if self._refusals >= REFUSALS:
            log.warning("nothing can be delivered as this member of group %s: joining anew", self._settings.group_id)
            self._is_broken = True

    def settle(self) -> None:
        """Something was delivered: this member is one."""
        self._refusals = 0

    def is_idle(self) -> bool:
        """Whether it has joined, and nothing is left for it to read."""
        return self.stable() and not self._assignment and not self._consumer.assignment()

    def owns(self, partition: int) -> bool:
        """Whether its offsets are this member's to commit, as of the last poll."""
        return self._assignment.has(partition)

    def lag(self) -> Mapping[int, int]:
        return self._lag

    def facts(self) -> BrokerFacts:
        return self._assignment.facts()

    def stable(self) -> bool:
        """Whether this member belongs to the group, as far as it knows."""
        return bool(self._consumer.group_metadata().state == MemberState.STABLE)

    def joined(self) -> bool:
        """Whether this member belongs to the group and every partition of its is taken."""
        return self.stable() and all(self._assignment.has(tp.partition) for tp in self._consumer.assignment())

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit offsets outside of a transaction; False when the group asks to come again later."""
        with translated_errors("committing offsets"):
            try:
                self._consumer.commit(dict(offsets), timeout_ms=COMMIT_TIMEOUT_MS)
            except RebalanceInProgressError:
                return False
            except CommitFailedError as error:
                raise RewoundError("the group moved on without this member: its last beats are read again") from error
        return True

    def close(self) -> None:
        close_quietly("the consumer", lambda: self._consumer.close(autocommit=False, timeout_ms=COMMIT_TIMEOUT_MS))
