"""Reads beats as one member of the consumer group: records as columns, the assignment, the lag."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CommitFailedError, CorruptRecordError, KafkaError, RebalanceInProgressError
from kafka.structs import MemberState

from monitor.beats.beat import FLOAT32_BYTES
from monitor.broker.blocks import RecordBlock, join
from monitor.broker.client_errors import (
    START_SECONDS,
    close_quietly,
    translated_connect_errors,
    translated_errors,
)
from monitor.broker.connection.client_config import client_config
from monitor.broker.kafka_python.known_versions import is_patched
from monitor.broker.kafka_python.patches import accept_any_header_name, has_more, patch_consumer, set_fetch_pace
from monitor.broker.reading.assignment import Assignment, RebalanceListener
from monitor.broker.reading.fetch_pace import FetchPace
from monitor.errors import BrokerError, RewoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kafka.structs import ConsumerGroupMetadata

    from monitor.broker.reading.state_topic import StateTopic
    from monitor.records.record import Assigned, BrokerFacts, Records
    from monitor.settings import Settings

log = logging.getLogger(__name__)

POLL_MS = 1000  # with less, a poll that times out during a join can leave the member without partitions for good
LAG_SECONDS = 1.0
LAG_TIMEOUT_MS = 3000
COMMIT_TIMEOUT_MS = 5000
STUCK_SECONDS = 30.0
REBUILD_SECONDS = 5.0
REFUSALS = 3
FETCH_BYTES = 4 * 1024 * 1024
FETCH_STEPS = 16


class GroupConsumer:
    """The group's consumer. All methods are for the thread of the loop."""

    def __init__(self, settings: Settings, state: StateTopic) -> None:
        self._settings = settings
        self._topic = settings.beats_topic
        self._is_patched = is_patched(settings)
        self._rebalances = RebalanceListener()
        self._pace = FetchPace(settings.max_wait_ms)
        self._assignment = Assignment(settings, state)
        self._lag: dict[int, int] = {}
        self._failure: BrokerError | None = None  # of the last request for the lag
        self._lag_asked = self._stable = time.monotonic()
        self._is_broken = False
        self._refusals = 0  # in a row
        self._consumer = self._build(START_SECONDS)
        self.member: ConsumerGroupMetadata = self._consumer.group_metadata()  # as of the last poll
        self._joined_as = self.member  # the last one in a stable group

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
                # for the offsets as much as for the beats: only then does a request for committed offsets wait for a
                # transaction that is still open, such as that of a frozen member
                isolation_level="read_committed",
                partition_assignment_strategy=(CooperativeStickyAssignor,),
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=max(100, min(3000, settings.session_timeout_ms // 3)),
                max_poll_records=settings.batch_size,
                fetch_min_bytes=1,
                # the fetch of one partition is returned before that of the next: not more than some steps of it
                max_partition_fetch_bytes=min(FETCH_BYTES, max(FETCH_BYTES // 16, FETCH_STEPS * batch_bytes)),
                metadata_max_age_ms=30_000,  # so that added partitions are found
                metrics_enabled=False,
            )
            if self._is_patched:
                patch_consumer(consumer)
            consumer.subscribe([self._topic], listener=self._rebalances)
        return consumer

    def poll(self) -> Records:
        """Records of restored partitions, and where those begin that were restored now."""
        if self._is_broken:  # the broker was unavailable at the last try to rebuild
            self._rebuild()
        self._update_lag()
        assigned = self._restore()
        if self._is_patched:
            set_fetch_pace(self._consumer, *self._pace.ask())
        try:
            polled = self._poll()
            self._check_member()
            blocks = [block for tp, some in polled.items() for block in self._expected(tp, some)]
            self._pace.observe(sum(map(len, blocks)), sum(block.bytes for block in blocks), time.monotonic())
        except BrokerError as error:
            self._assignment.revoke_all()  # the client would not return these records again
            self._is_broken |= not isinstance(error.__cause__, KafkaError)  # its IO thread may be dead
            raise
        assigned = {partition: one for partition, one in assigned.items() if self._assignment.has(partition)}
        if self._failure is not None and not blocks and not assigned:  # an empty poll does not show that Kafka answers
            raise self._failure
        self._failure = None
        return join(self._topic, blocks, assigned, self._assignment.revoked())

    def has_more(self) -> bool:
        """Whether records were fetched that no poll has returned yet; False where the client cannot tell."""
        return self._is_patched and not self._is_broken and has_more(self._consumer)

    def must_assign(self) -> bool:
        """Whether the next poll may restore partitions, and ask for their committed offsets."""
        return self._is_broken or any(not self._assignment.has(tp.partition) for tp in self._consumer.assignment())

    def _restore(self) -> dict[int, Assigned]:
        """Restore partitions. A failure is kept for later: poll must go on, or the group would drop this member."""
        try:
            return self._assignment.restore(self._consumer) if self.stable() else {}
        except BrokerError as error:
            self._failure = error
            return {}

    def _check_member(self) -> None:
        """Read this member's generation, then its revoked partitions.

        In this order, offsets of a partition that is revoked later are refused by the group, under this generation.
        kafka-python 3.0.12 calls no listener when the group removes a member while it joins: the member comes back
        under another name, claims its old partitions and may get them, although others have read on meanwhile.
        """
        before, self.member = self._joined_as, self._consumer.group_metadata()
        is_same = self.member.member_id == before.member_id
        if not is_same or not 0 <= self.member.generation_id - before.generation_id <= 1:
            self._assignment.revoke_all()
        if self.stable():
            self._joined_as = self.member
        self._assignment.revoke(self._rebalances.changed())

    def _poll(self) -> Mapping[TopicPartition, list[Any]]:
        with translated_errors("reading beats"):
            try:
                return self._consumer.poll(timeout_ms=POLL_MS)  # type: ignore[no-any-return]  # no types there
            except CorruptRecordError as error:  # the next poll of this client would never return
                log.warning("%s: reading it again, with any header name", error)
                if not (self._is_patched and accept_any_header_name()):  # it is damaged in another way
                    self._failure = BrokerError(f"reading beats: {error}")
                self._rebuild()
                return {}

    def _expected(self, tp: TopicPartition, polled: list[Any]) -> list[RecordBlock]:
        """Of what was polled of one partition, the blocks that follow what this member has read of it."""
        blocks = polled if isinstance(polled[0], RecordBlock) else [RecordBlock.of(polled)]
        return [block for block in blocks if self._assignment.expects(self._consumer, tp, block.offset)]

    def _update_lag(self) -> None:
        """Once a second, ask for the ends of the partitions: this also tells an idle broker from one that fails."""
        now = time.monotonic()
        if now - self._lag_asked < LAG_SECONDS:
            return
        assigned = self._consumer.assignment()
        asked = list(assigned or {TopicPartition(self._topic, 0)})
        try:
            with translated_errors("asking for the end of the beats"):
                ends = self._consumer.end_offsets(asked, timeout_ms=LAG_TIMEOUT_MS)
                positions = self._positions(assigned)
        except BrokerError as error:
            self._failure, self._stable = error, now
            return
        finally:
            self._lag_asked = time.monotonic()  # so that a poll comes between two requests that time out
        self._failure = None
        self._lag = {tp.partition: max(0, ends[tp] - position) for tp, position in positions}
        self._watch_membership(now)
        if stalled := self._assignment.stalled(self._lag, now):
            log.warning("records wait in partitions %s, and none come: joining again", stalled)
            self._is_broken = True

    def _positions(self, assigned: Collection[TopicPartition]) -> list[tuple[TopicPartition, int]]:
        positions = [(tp, self._consumer.position(tp, timeout_ms=0)) for tp in assigned]
        return [(tp, position) for tp, position in positions if position is not None]

    def _watch_membership(self, now: float) -> None:
        """Rebuild a member that stays outside the group: a poll that times out during a join may leave it so."""
        if self.stable():
            self._stable = now
        elif now - self._stable > max(STUCK_SECONDS, 2 * self._settings.session_timeout_ms / 1000):
            log.warning("this member has not joined group %s for long: joining again", self._settings.group_id)
            self._stable = now
            self._rebuild()

    def _rebuild(self) -> None:
        self._is_broken = True
        self.close()
        self._assignment.revoke_all()
        self._refusals = 0
        self._consumer = self._build(REBUILD_SECONDS)
        self._is_broken = False

    def rewind(self, *, is_refused: bool) -> None:
        """Go back to the last commit: what was read since is void. `is_refused`: the group refused the offsets.

        kafka-python 3.0.12 can hold an old generation for a minute or so without joining again.
        """
        self._assignment.revoke_all()
        self._refusals += is_refused
        if self._refusals >= REFUSALS:
            log.warning("nothing can be delivered as this member of group %s: joining again", self._settings.group_id)
            self._is_broken = True

    def delivered(self) -> None:
        """A checkpoint was delivered, so the group accepts this member."""
        self._refusals = 0

    def is_idle(self) -> bool:
        """Whether it has joined the group without getting a partition."""
        return self.stable() and not self._assignment and not self._consumer.assignment()

    def owns(self, partition: int) -> bool:
        """Whether this member may commit offsets of the partition, as of the last poll."""
        return self._assignment.has(partition)

    def lag(self) -> Mapping[int, int]:
        return self._lag

    def facts(self) -> BrokerFacts:
        return self._assignment.facts()

    def stable(self) -> bool:
        """Whether this member belongs to the group, as far as it knows."""
        return bool(self._consumer.group_metadata().state == MemberState.STABLE)

    def joined(self) -> bool:
        """Whether this member belongs to the group and all its partitions are restored."""
        return self.stable() and all(self._assignment.has(tp.partition) for tp in self._consumer.assignment())

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit offsets outside of a transaction; False when the group rebalances, and the caller must try again."""
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
