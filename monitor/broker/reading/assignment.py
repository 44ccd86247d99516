"""The partitions of one member of the group: next offset, stream time and episode state of each.

Kafka assigns a partition to this member; the member then *restores* it: it asks for the committed offset, reads the
episode state and sets the consumer to that offset. Only restored partitions are read. When a partition is revoked or
assigned again, or a transaction failed, what is known of it is dropped, and it is restored again before its next record
is judged.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.broker.client import CommittedOffset
from monitor.errors import BrokerError
from monitor.records.record import Assigned, BrokerFacts
from monitor.records.stream_time import StreamTime

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from monitor.broker.client import GroupClient
    from monitor.broker.reading.state_topic import StateTopic
    from monitor.settings import Settings

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0  # an open transaction of a dead member ends after 10 s, and the broker looks every 10 s
LOOK_AGAIN_SECONDS = 0.2  # at a partition that was held back: a look takes some 10 ms
MAX_RETRY_SECONDS = 20.0
# For committed offsets, which an open transaction of the group may hold back: while other partitions wait for the next
# poll, not long at first. A broker that needs longer gets twice the time at each try.
FIRST_WAIT_SECONDS, WAIT_SECONDS = 0.5, 3.0
STALL_SECONDS = 30.0  # less than /healthz waits before it names the partition
CHECK_GAP_SECONDS = 10.0  # no check for so long, as while the broker is unavailable: begin again
# What follows the semicolon is not ours: confluent-kafka 2.16.1 commits one more byte, and may read more than there is.
# An older version committed a time alone, of 13 digits until the year 2286.
_METADATA, _OLDER = (
    re.compile(r"(?:clock=([-\d,]+))?(?: ?of=(\d{1,9}))?;.*", re.DOTALL),
    re.compile(r"clock=(-?\d{1,13})\0?"),
)


def offset_to_commit(offset: int, stream_time: StreamTime | None, partitions: int = 0) -> CommittedOffset:
    """An offset to commit, with the partition's stream time in its metadata, so that both change together.

    `partitions`: how many the topic had when the group began to read this one; 0: not known.
    """
    clock = [] if stream_time is None else [f"clock={stream_time.text()}"]
    known = [f"of={partitions}"] if partitions else []
    return CommittedOffset(offset, " ".join([*clock, *known]) + ";")


def committed_stream_time(metadata: str) -> StreamTime | None:
    """The stream time that was committed with an offset; None where another program committed it."""
    found = _METADATA.fullmatch(metadata) or _OLDER.fullmatch(metadata)
    return None if found is None or found[1] is None else StreamTime.parse(found[1])


def committed_partitions(metadata: str) -> int:
    """The number of partitions that was committed with an offset; 0 where none was."""
    found = _METADATA.fullmatch(metadata)
    return 0 if found is None or found[2] is None else int(found[2])


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
        self._committed: dict[int, int] = {}  # also of partitions that are to be restored again
        self._known: dict[int, int] = {}  # partition -> how many the topic had when the group began to read it
        self._revoked: set[int] = set()
        self._retry: dict[int, Retry] = {}
        self._held_back: dict[int, float] = {}  # partition -> when to look again
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
            self._held_back.pop(partition, None)
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

    def to_commit(self, partition: int, offset: int, stream_time: StreamTime | None) -> CommittedOffset:
        """An offset of a partition to commit, with its metadata."""
        return offset_to_commit(offset, stream_time, self._known.get(partition, 0))

    def delivered(self, offsets: Mapping[int, CommittedOffset]) -> None:
        """These offsets are committed."""
        self._committed |= {partition: one.offset for partition, one in offsets.items()}

    def waiting(self, partition: int, position: int, end: int) -> int:
        """Records from the last committed one to the end of the partition.

        `position` is that of the client. It moves past records that are not returned, such as the markers of
        transactions: it counts where all that was read is committed.
        """
        read = self._next.get(partition, position)
        committed = self._committed.get(partition, read)
        return max(0, max(end, read) - (max(position, read) if committed == read else committed))

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

    def restore(self, client: GroupClient) -> dict[int, Assigned]:
        """Restore the assigned partitions that are not restored yet, and let the client read them from their offsets.

        A partition whose leader is down, or in which a member left a transaction open, cannot be restored now. It is
        tried again at a later poll. A poll stops at the first such partition, so that it delays neither the other
        partitions nor the group for long. A partition that an open transaction holds back is not even tried.
        Raises BrokerError when no partition at all is restored.
        """
        wanted = self._without_held_back(client, sorted(client.assignment() - self._next.keys()))
        fresh = [partition for partition in wanted if partition not in self._retry]
        try:
            if fresh:
                return self._restore(client, fresh)
        except BrokerError as error:
            if len(fresh) == 1:
                self._put_off(client, fresh[0], error)
            self._retry |= {partition: self._retry.get(partition, Retry()) for partition in fresh}
        assigned: dict[int, Assigned] = {}
        due = [partition for partition in wanted if self._retry.get(partition, Retry()).at <= time.monotonic()]
        for partition in sorted(due, key=lambda partition: self._retry[partition].at):
            try:
                assigned |= self._restore(client, [partition])
            except BrokerError as error:
                self._put_off(client, partition, error)
                break
        return assigned

    def _without_held_back(self, client: GroupClient, wanted: list[int]) -> list[int]:
        """The partitions whose state can be read now. Looks at most every LOOK_AGAIN_SECONDS."""
        now = time.monotonic()
        due = [partition for partition in wanted if self._held_back.get(partition, 0.0) <= now]
        if not due:
            return []
        held_back = self._state.held_back(due)
        for partition in held_back:
            if partition not in self._held_back:
                log.warning("partition %d waits for an open transaction on the state topic to end", partition)
                with contextlib.suppress(BrokerError):
                    client.stop(partition)
            self._held_back[partition] = now + LOOK_AGAIN_SECONDS
        free = [partition for partition in due if partition not in held_back]
        for partition in free:
            self._held_back.pop(partition, None)
        return free

    def _put_off(self, client: GroupClient, partition: int, error: BrokerError) -> None:
        """Try it again later, with a longer pause each time. Raises the error if no partition at all is restored."""
        before = self._retry.get(partition, Retry())
        seconds = min(RETRY_SECONDS * 2**before.times, MAX_RETRY_SECONDS)
        self._retry[partition] = Retry(time.monotonic() + seconds, before.times + 1)
        with contextlib.suppress(BrokerError):
            client.stop(partition)
        if not self._next:
            raise error
        if not before.times:
            log.warning("partition %d is not read yet: %s: trying again", partition, error)

    def _restore(self, client: GroupClient, wanted: list[int]) -> dict[int, Assigned]:
        """Restore these partitions together. Raises BrokerError, and restores none, when one of them fails."""
        began = time.monotonic()
        try:
            return self._restored(client, wanted)
        finally:  # a restore that fails takes time as well
            self._facts += BrokerFacts(restore_seconds=(time.monotonic() - began,))

    def _restored(self, client: GroupClient, wanted: list[int]) -> dict[int, Assigned]:
        """Find where to read on, read the episode state, and let the client fetch the partitions."""
        first, end = client.beginnings(wanted), client.ends(wanted)
        known = client.committed(wanted, self._patience(wanted))
        positions = self._positions(client, known, first, end)
        is_new_group = not self._next and not any(known.values())  # as far as these partitions can tell
        states = self._state.read(wanted, is_new_group=is_new_group)
        client.start({partition: position.offset for partition, position in positions.items()})
        for partition in wanted:
            self._retry.pop(partition, None)
            self._next[partition] = self._committed[partition] = positions[partition].offset
        self._facts += BrokerFacts(restored_sources=sum(map(len, states.values())))
        return {
            partition: Assigned(
                position.offset, committed_stream_time(position.metadata), states[partition], self._is_atomic
            )
            for partition, position in positions.items()
        }

    def _positions(
        self,
        client: GroupClient,
        known: Mapping[int, CommittedOffset | None],
        first: Mapping[int, int],
        end: Mapping[int, int],
    ) -> dict[int, CommittedOffset]:
        """Where to read each partition from: its committed offset in `known`, or as MONITOR_OFFSET_RESET says.

        `first` and `end` are the offsets of the first record that is there, and after the last one.
        """
        policy = dict(first if self._settings.offset_reset == "earliest" else end)
        policy |= {partition: first[partition] for partition in self._appeared(client, known)}
        positions = {}
        for partition, committed in known.items():
            if committed is None:
                positions[partition] = offset_to_commit(policy[partition], None)
            elif first[partition] <= committed.offset and (committed.offset <= end[partition] or not self._is_atomic):
                positions[partition] = committed  # other brokers than Kafka do not always give the right end
            else:
                self._report_gap(partition, committed.offset, policy[partition], first[partition])
                stream_time = committed_stream_time(committed.metadata)
                positions[partition] = offset_to_commit(policy[partition], stream_time)
        return positions

    def _patience(self, wanted: Collection[int]) -> float:
        """How long to wait for the committed offsets of these partitions, in seconds."""
        tries = max(self._retry.get(partition, Retry()).times for partition in wanted)
        return min(FIRST_WAIT_SECONDS * 2**tries, WAIT_SECONDS) if self._next else WAIT_SECONDS

    def _appeared(self, client: GroupClient, committed: Mapping[int, CommittedOffset | None]) -> set[int]:
        """The partitions without a committed offset that the topic did not have when the group began to read it.

        They begin at their first record, whatever MONITOR_OFFSET_RESET says: their beats came while the group was
        reading. Each offset is committed with the number of partitions that its group found.
        """
        for partition, one in committed.items():
            self._known[partition] = 0 if one is None else committed_partitions(one.metadata)
        if all(self._known[partition] for partition in committed):
            return set()
        count = max(client.partitions(), 1 + max(committed))
        new = {partition for partition, one in committed.items() if one is None}
        before = client.committed(set(range(count)) - new, WAIT_SECONDS) if new else {}
        began = max((committed_partitions(one.metadata) for one in before.values() if one is not None), default=0)
        self._known |= {partition: count for partition in committed if not self._known[partition]}
        return {partition for partition in new if began and partition >= began}

    def expects(self, client: GroupClient, partition: int, offsets: NDArray[np.int64]) -> bool:
        """Whether records may be judged: their partition is restored, and they follow what was read before.

        Gaps are usual (transaction markers, compaction), but not when the expected offset is below the first record
        that is kept: then retention deleted records, and the client went on by MONITOR_OFFSET_RESET without an error.
        """
        expected = self._next.get(partition)
        if expected is None:
            return False
        offset = int(offsets[0])
        if offset < expected and self._is_atomic:  # records that were judged already: restore from the committed offset
            self.revoke({partition})
            return False
        if not expected <= offset <= expected + 1:
            self._report_gap(partition, expected, offset, client.beginnings([partition])[partition])
        self._next[partition] = int(offsets[-1]) + 1
        return True

    def _report_gap(self, partition: int, expected: int, offset: int, first: int) -> None:
        """Count and log lost records, unless `expected` is still kept: then the gap to `offset` is a usual one."""
        if first <= expected <= offset:
            return
        lost = max(0, offset - expected)
        self._facts += BrokerFacts(offset_resets=1, lost_records=lost)
        log.error(
            "%s partition %d: offset %d is out of range (the first kept is %d), %d records are lost to this group; it "
            "goes on at %d as MONITOR_OFFSET_RESET=%s says. Raise the topic's retention or add instances",
            self._settings.beats_topic,
            partition,
            expected,
            first,
            lost,
            offset,
            self._settings.offset_reset,
        )
