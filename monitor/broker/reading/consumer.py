"""Reads beats as one member of the consumer group: records as columns, the assignment, the lag."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from monitor.broker.blocks import join
from monitor.broker.client import Failure, failure_of
from monitor.broker.limits import StepLimit
from monitor.broker.reading.assignment import Assignment
from monitor.broker.retry import START_SECONDS
from monitor.errors import BrokerError, RewoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.broker.client import CommittedOffset, KafkaClient, Membership
    from monitor.broker.place import CommittedPlace
    from monitor.broker.reading.source_rows import SourceRows
    from monitor.records.record import Assigned, BrokerFacts, Records
    from monitor.settings import Settings

log = logging.getLogger(__name__)

LAG_SECONDS = 1.0  # between two questions for the lag
STUCK_SECONDS = 30.0  # outside the group, before the client is built again
REBUILD_SECONDS = 5.0  # for the new client to connect
REFUSALS = 3  # of offsets in a row, before the client is built again
_UNUSABLE = {Failure.BROKEN, Failure.UNREADABLE}  # after these failures the next poll of the client would not return


class GroupConsumer:
    """The group's consumer. All methods are for the thread of the loop."""

    def __init__(
        self, settings: Settings, client: KafkaClient, state: SourceRows | None, profiles: SourceRows | None = None
    ) -> None:
        self._settings, self._client = settings, client
        self._topic = settings.beats_topic
        self._assignment = Assignment(settings, state, profiles)
        self._ends: dict[int, tuple[int, int]] = {}  # partition -> position of the client, end; about a second old
        self._held_back: dict[int, int] = {}
        self._failure: BrokerError | None = None  # of the last request for the lag
        self._lag_asked = self._stable = time.monotonic()
        self._is_broken = self._is_held = False
        self._refusals = 0  # in a row
        self._limit = StepLimit.full(settings)
        self._brought: float | None = None  # when the last poll brought records
        self._group = client.group(settings, START_SECONDS)

    def poll(self) -> Records:
        """Records of restored partitions, and where those begin that were restored now."""
        if self._is_broken:  # the broker was unavailable at the last try to rebuild
            self._rebuild()
        self.look_at_lag()
        assigned = self._restore()
        try:
            blocks = self._group.poll(self._adapted_limit())
            self._assignment.revoke(self._group.changed())
            blocks = [block for block in blocks if self._assignment.expects(self._group, block.partition, block.offset)]
        except BrokerError as error:
            self._assignment.revoke_all()  # the client would not return these records again
            self._is_broken |= failure_of(error) in _UNUSABLE
            raise
        assigned = {partition: one for partition, one in assigned.items() if self._assignment.has(partition)}
        if self._failure is not None and not blocks and not assigned:  # an empty poll does not show that Kafka answers
            raise self._failure
        self._failure = None
        self._brought = time.monotonic() if blocks else None
        return join(self._topic, blocks, assigned, self._assignment.revoked())

    def _adapted_limit(self) -> StepLimit:
        """What this poll may bring, by the time that has passed since the last one brought records."""
        if self._brought is not None:
            before, seconds = self._limit, time.monotonic() - self._brought
            self._limit = before.after(seconds, StepLimit.full(self._settings))
            if self._limit.records < before.records:
                log.debug("a step of %.1f s: the next one has %d records at most", seconds, self._limit.records)
            self._brought = None
        return self._limit

    def has_more(self) -> bool:
        """Whether the next poll returns at once; False where the client cannot tell."""
        return not self._is_broken and self._group.has_more()

    def must_assign(self) -> bool:
        """Whether the next poll may restore partitions, and ask for their committed offsets."""
        return self._is_broken or not self._has_all()

    def _has_all(self) -> bool:
        return all(map(self._assignment.has, self._group.assignment()))

    def member(self) -> Membership:
        """The membership as of the last poll."""
        return self._group.membership()

    def _restore(self) -> dict[int, Assigned]:
        """Restore partitions. A failure is kept for later: poll must go on, or the group would drop this member."""
        if self._is_held:
            return {}
        try:
            return self._assignment.restore(self._group) if self.stable() else {}
        except BrokerError as error:
            self._failure = error
            return {}

    def hold(self, *, is_held: bool) -> None:
        """Fetch nothing while `is_held`; a poll then waits, and keeps this member in its group. Raises BrokerError."""
        if is_held == self._is_held:
            return
        offsets, assigned = self._assignment.next_offsets(), self._group.assignment()
        read = {partition: offset for partition, offset in offsets.items() if partition in assigned}
        try:
            if is_held:
                for partition in read:
                    self._group.stop(partition)
            else:
                self._group.start(read)
        except BrokerError:
            self._assignment.revoke_all()
            raise
        finally:
            self._is_held = is_held

    def look_at_lag(self) -> None:
        """Once a second, ask for the ends of the partitions: this also tells an idle broker from one that fails."""
        now = time.monotonic()
        if now - self._lag_asked < LAG_SECONDS:
            return
        try:
            partitions = self._group.assignment() or {0}
            log_ends = self._group.log_ends(partitions)  # first: what comes in between is not held back
            ends = self._group.ends(partitions)
        except BrokerError as error:
            self._failure, self._stable = error, now
            return
        finally:
            self._lag_asked = time.monotonic()  # so that a poll comes between two requests that time out
        self._failure = None
        positions = self._assignment.next_offsets() if self._is_held else self._group.positions()
        self._ends = {one: (position, ends[one]) for one, position in positions.items() if one in ends}
        self._held_back = {one: max(0, log_ends.get(one, 0) - end) for one, (_, end) in self._ends.items()}
        self._watch_membership(now)
        unread = {one: max(0, end - position) for one, (position, end) in self._ends.items()}
        if stalled := self._assignment.stalled({} if self._is_held else unread, now):
            log.warning("records wait in partitions %s, and none come: joining again", stalled)
            self._is_broken = True

    def _watch_membership(self, now: float) -> None:
        """Rebuild a member that stays outside the group: a poll that times out during a join may leave it so."""
        if self.stable():
            self._stable = now
        elif now - self._stable > max(STUCK_SECONDS, 2 * self._settings.session_timeout_ms / 1000):
            log.warning("this member has not joined group %s for long: joining again", self._settings.group_id)
            self._stable = now
            self._rebuild()

    def _rebuild(self) -> None:
        """Build the client again: a new member joins, and all partitions are restored. Raises BrokerError."""
        self._is_broken = True
        self.close()
        self._assignment.revoke_all()
        self._refusals = 0
        self._group = self._client.group(self._settings, REBUILD_SECONDS)
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

    def delivered(self, offsets: Mapping[int, CommittedOffset]) -> None:
        """A checkpoint was delivered with these offsets, so the group accepts this member."""
        self._refusals = 0
        self._assignment.delivered(offsets)

    def to_commit(self, partition: int, place: CommittedPlace) -> CommittedOffset:
        """A place in a partition to commit, as an offset with metadata."""
        return self._assignment.to_commit(partition, place)

    def is_behind(self, partition: int, offset: int) -> bool:
        """Whether a higher offset of the partition is committed already."""
        return self._assignment.is_behind(partition, offset)

    def is_idle(self) -> bool:
        """Whether it has joined the group without getting a partition."""
        return self.stable() and not self._assignment and not self._group.assignment()

    def owns(self, partition: int) -> bool:
        """Whether this member may commit offsets of the partition, as of the last poll."""
        return self._assignment.has(partition)

    def lag(self) -> Mapping[int, int]:
        return {partition: self._assignment.waiting(partition, *ends) for partition, ends in self._ends.items()}

    def held_back(self) -> Mapping[int, int]:
        return self._held_back

    def facts(self) -> BrokerFacts:
        return self._assignment.facts()

    def stable(self) -> bool:
        """Whether this member belongs to the group, as far as it knows."""
        return self._group.is_stable()

    def joined(self) -> bool:
        """Whether this member belongs to the group and all its partitions are restored."""
        return self.stable() and self._has_all()

    def commit(self, offsets: Mapping[int, CommittedOffset]) -> bool:
        """Commit offsets outside a transaction; False if the group rebalances, so that the caller must try again.

        Raises RewoundError if this member is out of the group, BrokerError for any other failure.
        """
        try:
            self._group.commit(offsets)
        except BrokerError as error:
            if failure_of(error) is Failure.REBALANCING:
                return False
            if failure_of(error) is Failure.OUT_OF_GROUP:
                raise RewoundError("the group moved on without this member: its last beats are read again") from error
            raise
        return True

    def close(self) -> None:
        self._group.close()
