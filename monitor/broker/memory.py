"""A broker in memory: for tests, for backtests, and for users who test their own code against the monitor.

`MemoryCluster` holds the topics and the consumer group; `MemoryBroker` is one member of that group. Both keep the
contract of `protocol.Broker`; `tests/contract/test_broker.py` checks it for Kafka and for this module. There
are no threads, no waiting and no clock: everything happens inside the calls, in the same order every time.

    cluster = MemoryCluster(Settings(), partitions=2)
    cluster.publish(Message("ecg.beats", b"bed-7", beat), timestamp_ms=0)
    broker = MemoryBroker(cluster)
    records = broker.poll()
    broker.deliver(Checkpoint((Message("ecg.alerts", b"bed-7", b"..."),), offsets={0: 1}))
    assert cluster.messages("ecg.alerts")
"""

from __future__ import annotations

import logging
import zlib
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.broker.blocks import RecordBlock, join
from monitor.broker.limits import StepLimit
from monitor.broker.memory_group import MemoryGroup
from monitor.broker.place import CommittedPlace, places
from monitor.broker.protocol import Broker
from monitor.errors import BrokerError, RewoundError
from monitor.records.column import Column
from monitor.records.record import Assigned, BrokerFacts, Checkpoint, ControlRecord, Message, Records, other_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.settings import Settings

log = logging.getLogger(__name__)


class StoredRecord(NamedTuple):
    """A record as a partition keeps it; its offset is its index there."""

    message: Message  # with the partition filled in
    timestamp_ms: int  # since the epoch


@dataclass(slots=True)
class _Topic:
    """The records of one topic: by partition, and in the order in which they came."""

    partitions: list[list[StoredRecord]]
    arrivals: list[Message] = field(default_factory=list)

    def placed(self, message: Message) -> Message:
        """The message with its partition: its own, else one that follows from its key (0 without a key)."""
        if message.partition is None:
            return message._replace(partition=zlib.crc32(message.key or b"") % len(self.partitions))
        if message.partition not in range(len(self.partitions)):
            raise BrokerError(f"no partition {message.partition} in {message.topic}: it has {len(self.partitions)}")
        return message


class MemoryCluster:
    """Topics and one consumer group in memory, as the settings name them and `ecg-monitor topics create` makes them.

    The control topic has one partition, every other topic `partitions`.

    It differs from Kafka in what no contract promises. A key chooses its partition by CRC-32, where Kafka uses murmur2;
    records without a key all go to partition 0, where Kafka spreads them. No record is too large. Nothing expires and
    nothing is compacted.
    """

    def __init__(self, settings: Settings, partitions: int = 1) -> None:
        """Raises ValueError for less than one partition."""
        if partitions < 1:
            raise ValueError(f"a topic has at least one partition, not {partitions}")
        self.settings = settings
        self.group = MemoryGroup(partitions)
        written = (settings.alerts_topic, settings.scores_topic, settings.dead_letters_topic)
        rows = (settings.state_topic_name, settings.profiles_topic_name)
        names = (settings.beats_topic, *written, *rows, settings.control_topic)
        counts = dict.fromkeys(names, partitions) | {settings.control_topic: 1}
        self._topics = {name: _Topic([[] for _ in range(count)]) for name, count in counts.items()}

    def publish(self, message: Message, timestamp_ms: int = 0) -> None:
        """Append a record to its topic. `timestamp_ms` is the record's time, in ms since the epoch.

        The time of a beat is the time of its R peak. The key chooses the partition of a message that has none. Raises
        BrokerError for a topic or a partition that does not exist.
        """
        self.publish_all([message], timestamp_ms)

    def publish_all(self, messages: Iterable[Message], timestamp_ms: int = 0) -> None:
        """Append all messages. Raises BrokerError and appends none if a topic or a partition does not exist."""
        for message in [self._topic(message.topic).placed(message) for message in messages]:
            topic = self._topic(message.topic)
            topic.partitions[message.partition or 0].append(StoredRecord(message, timestamp_ms))
            topic.arrivals.append(message)

    def messages(self, topic: str) -> tuple[Message, ...]:
        """Everything in a topic in the order it came, each message with its partition.

        Raises BrokerError for a topic that is not there.
        """
        return tuple(self._topic(topic).arrivals)

    def rows(self, topic: str, partition: int) -> list[StoredRecord]:
        """The records of one partition; the index of a record is its offset."""
        return self._topic(topic).partitions[partition]

    def state(self, partition: int) -> dict[bytes, bytes]:
        """The episode state of a partition: the last value of each source, without those that were deleted."""
        return self._last_values(self.settings.state_topic_name, partition)

    def profiles(self, partition: int) -> dict[bytes, bytes]:
        """The profiles of a partition, likewise."""
        return self._last_values(self.settings.profiles_topic_name, partition)

    def _last_values(self, topic: str, partition: int) -> dict[bytes, bytes]:
        """The last value of each source, rows of other groups left out, the one written last at the end."""
        rows: dict[bytes, bytes] = {}
        group = self.settings.group_id.encode()
        for message in (row.message for row in self.rows(topic, partition)):
            if other_group(message.headers, group):
                continue
            rows.pop(message.key or b"", None)
            if message.value is not None:
                rows[message.key or b""] = message.value
        return rows

    def extend(self, partitions: int) -> None:
        """Give every topic but the control topic so many partitions, where it has fewer."""
        for name, topic in self._topics.items():
            missing = 0 if name == self.settings.control_topic else partitions - len(topic.partitions)
            topic.partitions += [[] for _ in range(missing)]
        self.group.partitions = max(self.group.partitions, partitions)

    def committed(self) -> dict[int, int]:
        """For each partition with a committed offset, that offset: the number of the next record to read."""
        return {partition: place.offset for partition, place in sorted(self.group.committed.items())}

    def start_of(self, partition: int) -> CommittedPlace:
        """Where a member begins to read a partition: at the committed offset, else as MONITOR_OFFSET_RESET says.

        A partition that the group did not find when it began is read from its first record.
        """
        began_with = self.group.began_with
        is_new = began_with is not None and partition >= began_with
        is_earliest = is_new or self.settings.offset_reset == "earliest"
        first = 0 if is_earliest else len(self.rows(self.settings.beats_topic, partition))
        return self.group.committed.get(partition, CommittedPlace.at(first))

    def evict(self, member: MemoryBroker) -> None:
        """Put a member out of the group, as Kafka does with one that does not answer: its partitions become free.

        The member is not told. Its next delivery raises RewoundError, and its next poll joins again.
        """
        self.group.leave(member)

    def _topic(self, name: str) -> _Topic:
        if name not in self._topics:
            raise BrokerError(f"no topic {name} in this cluster: it has {', '.join(sorted(self._topics))}")
        return self._topics[name]


class MemoryBroker(Broker):
    """One member of the group of a `MemoryCluster`; several of them share its partitions.

    It keeps the contract of `protocol.Broker`. Where the contract leaves a choice: `poll` never waits; `begin` delivers
    as much as it can (exactly once: the whole checkpoint; at least once: its messages); the next poll commits offsets
    without messages; a member gives a partition up only when it polls.
    """

    def __init__(self, cluster: MemoryCluster, *, profiles: bool = False) -> None:
        """A member of the cluster's group; it joins the group at its first poll. `profiles`: whether they are used."""
        self._cluster, self._settings, self._profiles = cluster, cluster.settings, profiles
        self._is_atomic = cluster.settings.delivery == "exactly-once"
        self._next: dict[int, int] = {}  # assigned partition -> offset of the next record to read
        self._reported: set[int] = set()  # partitions that the caller knows as assigned
        self._committed: dict[int, int] = {}  # offset of each partition when it was assigned, or committed since
        self._pending: dict[int, CommittedPlace] = {}  # offsets to commit with the next checkpoint or poll
        self._begun: Checkpoint | None = None
        self._error: BrokerError | None = None  # of what was begun, for `deliver` to raise
        self._sent: Checkpoint | None = None  # its messages are out; used only for at-least-once delivery
        self._delivered: Checkpoint | None = None
        self._facts = BrokerFacts()
        self._is_confirmed = True  # False from a RewoundError until more than offsets is delivered
        self._failures = self._rewinds = 0
        self._control_offset = 0

    def fail_next(self, count: int = 1) -> None:
        """Make the next `count` deliveries raise BrokerError; the same checkpoint goes through after them.

        With exactly-once delivery nothing of the checkpoint is visible after such a failure.
        With at-least-once delivery its messages are visible, and its offsets are not committed. A checkpoint without
        messages does not count.
        """
        self._failures += count

    def rewind_next(self, count: int = 1) -> None:
        """Make the next `count` deliveries raise RewoundError, as a transaction that was aborted."""
        self._rewinds += count

    def poll(self) -> Records:
        if self._begun is None:
            self._commit_pending()
        assigned = self._assign()
        revoked, self._reported = frozenset(self._reported - self._next.keys()), set(self._next)
        return self._read(assigned, revoked)

    def _assign(self) -> dict[int, Assigned]:
        """Join the group or rebalance; gives the partitions that this member now begins to read.

        After a rewind these are all its partitions, also those that it read before.
        """
        group = self._cluster.group
        if not group.has(self):  # others may have read on meanwhile
            self._forget()
            group.join(self)
        group.rebalance(self)
        held = group.held(self)
        self._next = {partition: offset for partition, offset in self._next.items() if partition in held}
        assigned = {}
        for partition in sorted(held - self._next.keys()):
            one = assigned[partition] = self._restored(partition)
            self._next[partition], self._committed[partition] = one.read_from, one.offset
            self._pending[partition] = CommittedPlace.of(one)
            self._facts += BrokerFacts(restored_sources=len(one.state), restore_seconds=(0.0,))
        return assigned

    def _restored(self, partition: int) -> Assigned:
        place, state = self._cluster.start_of(partition), self._cluster.state(partition)
        if not self._profiles:
            return Assigned(place.offset, place.stream_time, state, self._is_atomic)
        profiles = self._cluster.profiles(partition)
        return Assigned(place.offset, place.stream_time, state, self._is_atomic, profiles, place.read_from)

    def _forget(self) -> None:
        """Drop what was read and not committed: every partition is assigned again by the next poll."""
        self._next, self._pending = {}, {}

    def _read(self, assigned: Mapping[int, Assigned], revoked: frozenset[int]) -> Records:
        """The next records, `batch_size` at most; a partition that brought some comes last in the next poll."""
        topic, limit = self._settings.beats_topic, StepLimit.full(self._settings)
        left, room, blocks = limit.records, limit.bytes, list[RecordBlock]()
        for partition, offset in tuple(self._next.items()):
            some = self._cluster.rows(topic, partition)[offset : offset + left] if room > 0 else []
            bytes_through = list(accumulate(one.message.size for one in some))
            some = some[: bisect_left(bytes_through, room) + 1]
            if some:
                left, room = left - len(some), room - bytes_through[len(some) - 1]
                blocks.append(_block(partition, offset, some))
                self._next[partition] = self._next.pop(partition) + len(some)
        records = join(topic, blocks, assigned, revoked)
        return replace(records, control_records=self._control_records())

    def _control_records(self) -> tuple[ControlRecord, ...]:
        messages = self._cluster.messages(self._settings.control_topic)
        first, self._control_offset = self._control_offset, len(messages)
        return tuple(ControlRecord(one.key, one.value, first + place) for place, one in enumerate(messages[first:]))

    def has_more(self) -> bool:
        topic = self._settings.beats_topic
        return any(offset < len(self._cluster.rows(topic, one)) for one, offset in self._next.items())

    def begin(self, checkpoint: Checkpoint) -> None:
        if not checkpoint or checkpoint is self._delivered:
            return
        self._check_begun(checkpoint)
        if self._begun is None:
            self._begun, self._error = checkpoint, None
            try:
                self._start(checkpoint)
            except BrokerError as error:
                self._error = error

    def deliver(self, checkpoint: Checkpoint) -> None:
        if checkpoint is self._delivered:
            return
        self._check_begun(checkpoint)
        if checkpoint:
            self._finish(checkpoint)
        else:
            self._pending |= self._places(checkpoint)
        self._delivered = checkpoint

    def _check_begun(self, checkpoint: Checkpoint) -> None:
        """Raises ValueError where the caller breaks the contract: that is no fault of the broker."""
        if self._begun is not None and self._begun is not checkpoint:
            raise ValueError("another checkpoint was begun: deliver that one first")

    def _finish(self, checkpoint: Checkpoint) -> None:
        begun, self._begun = self._begun, None
        try:
            if begun is None:
                self._start(checkpoint)
            elif self._error is not None:
                raise self._error
            if not self._is_atomic:
                self._raise_failure()
                self._commit(self._pending | self._places(checkpoint))
                self._cluster.publish_all(one for one in checkpoint.deletions if one.partition in {None, *self._next})
        except RewoundError:
            self._facts += BrokerFacts(commit_failures=1, rewinds=1)
            self._is_confirmed = False
            self._forget()
            raise
        except BrokerError:
            self._facts += BrokerFacts(commit_failures=1)
            raise
        self._is_confirmed = True

    def _start(self, checkpoint: Checkpoint) -> None:
        """Exactly once: everything, or nothing and an error. At least once: the messages, if they are not out yet."""
        if self._is_atomic:
            self._raise_failure()
            self._cluster.publish_all((*checkpoint.messages, *checkpoint.deletions))
            self._commit(self._pending | self._places(checkpoint))
        elif checkpoint is not self._sent:
            self._cluster.publish_all(checkpoint.messages)
            self._sent = checkpoint

    def _raise_failure(self) -> None:
        """Raise what a test asked for, or that the group no longer knows this member."""
        if self._rewinds:
            self._rewinds -= 1
            raise RewoundError("the delivery failed, as `rewind_next` asked for: its records are read again")
        if self._failures:
            self._failures -= 1
            raise BrokerError("the delivery failed, as `fail_next` asked for")
        if not self._cluster.group.has(self):
            raise RewoundError("this member is out of the group: its last beats are read again")

    def _places(self, checkpoint: Checkpoint) -> dict[int, CommittedPlace]:
        """The places of a checkpoint to commit. No partition goes back: records that come again may be in a step."""
        given = places(checkpoint).items()
        return {one: place for one, place in given if place.offset >= self._committed.get(one, 0)}

    def _commit(self, due: Mapping[int, CommittedPlace]) -> None:
        """Commit the offsets of the partitions that this member still has; the others are another member's to read."""
        mine = {one: place for one, place in due.items() if one in self._next}
        self._cluster.group.committed |= mine
        self._committed |= {one: place.offset for one, place in mine.items()}
        self._pending = {}
        self._facts += BrokerFacts(commits=1)

    def _commit_pending(self) -> None:
        if self._pending.keys() & self._next.keys() and self._cluster.group.has(self):
            self._commit(self._pending)

    def settled(self) -> bool:
        return self._is_confirmed or (self.joined() and not self._next)

    def lag(self) -> Mapping[int, int]:
        topic = self._settings.beats_topic
        return {one: len(self._cluster.rows(topic, one)) - self._committed[one] for one in self._next}

    def held_back(self) -> Mapping[int, int]:
        """None: there are no publishers with transactions."""
        return dict.fromkeys(self._next, 0)

    def obstacle(self) -> str:
        """Never any."""
        return ""

    def joined(self) -> bool:
        group = self._cluster.group
        return group.has(self) and group.held(self) == self._next.keys()

    def facts(self) -> BrokerFacts:
        facts, self._facts = self._facts, BrokerFacts()
        return facts

    def close(self) -> None:
        """Commit what was begun or delivered, and leave the group; what cannot be committed will be read again."""
        try:
            if self._begun is not None:
                self.deliver(self._begun)
        except BrokerError as error:
            log.warning("%s: the last beats will be read again", error)
        self._commit_pending()
        self._cluster.group.leave(self)


def _block(partition: int, offset: int, rows: list[StoredRecord]) -> RecordBlock:
    """The rows of a partition from `offset` on."""
    return RecordBlock(
        partition,
        np.arange(offset, offset + len(rows)),
        np.array([row.timestamp_ms for row in rows], np.int64),
        Column.of([row.message.key for row in rows]),
        Column.of([row.message.value for row in rows]),
        tuple(row.message.headers for row in rows),
    )
