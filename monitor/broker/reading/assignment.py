"""The partitions of one member of the group: next offset, stream time and rows of each.

Kafka assigns a partition to this member; the member then *restores* it: it asks for the committed place, reads the
episode state and the profiles, and sets the consumer to the first record that they lack. Only restored partitions are
read. When a partition is revoked or assigned again, or a transaction failed, what is known of it is dropped, and it is
restored again before its next record is judged.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.broker.place import CommittedPlace, known_partitions
from monitor.errors import BrokerError
from monitor.records.record import Assigned, BrokerFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from monitor.broker.client import CommittedOffset, GroupClient
    from monitor.broker.reading.source_rows import SourceRows
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


@dataclass(frozen=True, slots=True)
class Retry:
    """When a partition that could not be restored is tried again, and how often it was tried."""

    at: float = 0.0
    times: int = 0


class Assignment:
    """The restored partitions of one member, each with the offset that is expected next."""

    def __init__(self, settings: Settings, state: SourceRows | None, profiles: SourceRows | None = None) -> None:
        """A topic without `state` has no rows. Records are read again from `read_from` on, with `profiles` or so."""
        self._settings, self._state, self._profiles = settings, state, profiles
        self._reads_again = state is None or profiles is not None
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

    def next_offsets(self) -> Mapping[int, int]:
        """The offset that is expected next in each restored partition."""
        return self._next

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

    def to_commit(self, partition: int, place: CommittedPlace) -> CommittedOffset:
        """A place in a partition to commit, as an offset with metadata."""
        return place.to_commit(self._known.get(partition, 0))

    def is_behind(self, partition: int, offset: int) -> bool:
        """Whether a higher offset of the partition is committed already: the records from it on come again."""
        return offset < self._committed.get(partition, 0)

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
        held_back: dict[int, str] = {}
        for rows in filter(None, (self._state, self._profiles)):
            held_back |= dict.fromkeys(rows.held_back(due), rows.topic.name)
        for partition, topic in held_back.items():
            if partition not in self._held_back:
                log.warning("partition %d waits for an open transaction on %s to end", partition, topic)
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
        """Find where to read on, read the rows, and let the client fetch the partitions."""
        first, end = client.beginnings(wanted), client.ends(wanted)
        known = client.committed(wanted, self._patience(wanted))
        places = self._places(client, known, first, end)
        is_new_group = not self._next and not any(known.values())  # as far as these partitions can tell
        none: dict[int, dict[bytes, bytes]] = {partition: {} for partition in wanted}
        states = none if self._state is None else self._state.read(wanted, is_new_group=is_new_group)
        profiles = {} if self._profiles is None else self._profiles.read(wanted, is_new_group=is_new_group)
        client.start({partition: place.read_from for partition, place in places.items()})
        for partition, place in places.items():
            self._retry.pop(partition, None)
            self._next[partition], self._committed[partition] = place.read_from, place.offset
        self._facts += BrokerFacts(restored_sources=sum(map(len, states.values())))
        return {
            one: Assigned(at.offset, at.stream_time, states[one], self._is_atomic, profiles.get(one, {}), at.read_from)
            for one, at in places.items()
        }

    def _places(
        self,
        client: GroupClient,
        known: Mapping[int, CommittedOffset | None],
        first: Mapping[int, int],
        end: Mapping[int, int],
    ) -> dict[int, CommittedPlace]:
        """Where to go on in each partition: as `known` says what is committed, or as MONITOR_OFFSET_RESET does.

        `first` and `end` are the offsets of the first record that is there, and after the last one.
        """
        policy = dict(first if self._settings.offset_reset == "earliest" else end)
        policy |= {partition: first[partition] for partition in self._appeared(client, known)}
        places = {}
        for partition, committed in known.items():
            if committed is None:
                places[partition] = CommittedPlace.at(policy[partition])
                continue
            place = CommittedPlace.committed(committed)
            if first[partition] <= place.offset and (place.offset <= end[partition] or not self._is_atomic):
                # other brokers than Kafka do not always give the right end
                again = max(place.read_from, first[partition]) if self._reads_again else place.offset
                places[partition] = place._replace(read_from=again)
            else:
                self._report_gap(partition, place.offset, policy[partition], first[partition])
                places[partition] = CommittedPlace.at(policy[partition], place.stream_time)
        return places

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
            self._known[partition] = 0 if one is None else known_partitions(one.metadata)
        if all(self._known[partition] for partition in committed):
            return set()
        count = max(client.partitions(), 1 + max(committed))
        new = {partition for partition, one in committed.items() if one is None}
        before = client.committed(set(range(count)) - new, WAIT_SECONDS) if new else {}
        began = max((known_partitions(one.metadata) for one in before.values() if one is not None), default=0)
        self._known |= {partition: count for partition in committed if not self._known[partition]}
        return {partition for partition in new if began and partition >= began}

    def expects(self, client: GroupClient, partition: int, offsets: NDArray[np.int64]) -> bool:
        """Whether records may be judged: their partition is restored, and they follow what was read before.

        Gaps are usual (transaction markers, compaction), but not when the expected offset is below the first record
        that is kept: then retention deleted records, and the client went on by MONITOR_OFFSET_RESET without an error.
        Those that were judged before are not lost, but the client may have passed over others with them.
        """
        expected = self._next.get(partition)
        if expected is None:
            return False
        offset = int(offsets[0])
        if offset < expected and self._is_atomic:  # records that were judged already: restore from the committed offset
            self.revoke({partition})
            return False
        judged = self._committed[partition]
        if not expected <= offset <= max(expected + 1, judged):
            first = client.beginnings([partition])[partition]
            if expected < first <= judged < offset:
                self.revoke({partition})
                return False
            self._report_gap(partition, max(expected, judged), offset, first)
            if offset < min(judged, expected):  # the topic was made again
                self._committed[partition] = offset
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
