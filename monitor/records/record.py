"""The data that the broker and the pipeline exchange: records as columns, messages and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.records.stream_time import is_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.records.column import Column
    from monitor.records.stream_time import StreamTime

Headers = tuple[tuple[str, bytes], ...]
ANNOTATION_HEADER = "annotation"  # of a beat: what a recording says of it. The monitor does not read it
GROUP_HEADER = "group"  # of a row of episode state or of a profile: names the group that wrote it
HEADER_BYTES = 10  # of one header, besides its name and value: the most that their lengths take


def other_group(headers: Headers, group: bytes) -> bytes:
    """The group that the headers of a row name, if it is another one; else nothing."""
    return next((value for name, value in headers if name == GROUP_HEADER and value != group), b"")


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """A record of the control topic. Its offset is the version of the threshold that it sets."""

    key: bytes | None
    value: bytes | None
    offset: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """Where this member begins to read a partition: after an assignment, or again after a step that failed.

    Records from `read_from` up to `offset` were judged before and come again: they complete the profiles.
    """

    offset: int  # of the next record to judge
    stream_time: StreamTime | None  # before that record; None: not committed
    state: Mapping[bytes, bytes]  # source -> its row of the state topic
    atomic: bool  # whether rows and offsets are written in one transaction
    profiles: Mapping[bytes, bytes] = field(default_factory=dict)  # source -> its row of the profiles topic
    read_from: int = -1  # of the first record that comes, at most `offset`, which it is by default

    def __post_init__(self) -> None:
        if self.read_from < 0:
            object.__setattr__(self, "read_from", self.offset)


@dataclass(frozen=True, slots=True)
class SetAside:
    """Consecutive records of a partition that were not read, because they would take too much memory.

    Among records they are one row, at `last_offset`, without key, value and headers.
    """

    first_offset: int
    last_offset: int
    why: str  # such as "more than 67108864 bytes after inflation"

    def __str__(self) -> str:
        """The offsets and the reason, as the beginning of a sentence."""
        if self.first_offset == self.last_offset:
            return f"the record at offset {self.last_offset} has {self.why}"
        return f"the records at offsets {self.first_offset} to {self.last_offset} have {self.why}"


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one poll as columns (n,). Records of a partition are next to each other, in offset order."""

    topic: str
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    time: NDArray[np.int64]  # record timestamp, ms since the epoch
    key: Column
    value: Column
    headers: Sequence[Headers]
    assigned: Mapping[int, Assigned] = field(default_factory=dict)  # by partition: replaces all that was known of it
    revoked: frozenset[int] = frozenset()  # partitions that another member reads now
    set_aside: Mapping[int, SetAside] = field(default_factory=dict)  # by row
    control_records: tuple[ControlRecord, ...] = ()  # since the last poll; in the first one, all that the topic holds

    def __len__(self) -> int:
        return len(self.value)

    def select(self, keep: NDArray[np.bool_]) -> Records:
        """The same with only the records where `keep` (n,) is true."""
        rows = np.flatnonzero(keep)
        return Records(
            self.topic,
            self.partition[rows],
            self.offset[rows],
            self.time[rows],
            self.key.select(rows),
            self.value.select(rows),
            tuple(map(self.headers.__getitem__, rows.tolist())),
            self.assigned,
            self.revoked,
            {int(np.searchsorted(rows, row)): one for row, one in self.set_aside.items() if keep[row]},
            self.control_records,
        )


class RecordHeaders:
    """The headers of the records of one poll. Those of a record are decoded when somebody asks for them."""

    def __init__(self, records: Records) -> None:
        self._offset, self._headers = records.offset, records.headers
        self._rows = dict(partition_slices(records.partition))

    def of(self, partition: int, offset: int) -> Headers:
        """The headers of a record of that poll."""
        rows = self._rows[partition]
        found: Headers = self._headers[rows.start + int(np.searchsorted(self._offset[rows], offset))]
        return found


def partition_slices(partition: NDArray[np.int32]) -> list[tuple[int, slice]]:
    """Number and rows of each partition in a column (n,) in which the rows of a partition are next to each other."""
    edges = [0, *(np.flatnonzero(np.diff(partition)) + 1).tolist(), len(partition)]
    return [(int(partition[start]), slice(start, end)) for start, end in pairwise(edges) if start < end]


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What a broker did since it was last asked: counts, and the durations of restores."""

    commits: int = 0  # of offsets together with their messages
    commit_failures: int = 0
    rewinds: int = 0  # transactions that failed: their records are read again
    offset_resets: int = 0
    lost_records: int = 0  # deleted by retention before this group read them
    restored_sources: int = 0  # rows of episode state
    restore_seconds: tuple[float, ...] = ()  # one for each time that episode state was read back

    def __add__(self, other: BrokerFacts) -> BrokerFacts:
        return BrokerFacts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


class Message(NamedTuple):
    """One record to produce. A step may have thousands; a dataclass takes three times as long to build."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    may_omit_value: bool = False  # whether it may go without its value if it is too large: later messages wait for it
    partition: int | None = None  # None: the key chooses it

    @property
    def size(self) -> int:
        """Bytes of key, value and headers; the broker counts no more. UTF-8 takes up to 4 bytes for a character."""
        headers = sum(4 * len(name) + len(value or b"") + HEADER_BYTES for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The messages, state and offsets of one step, delivered together or not at all.

    A broker without transactions cannot do that. It writes messages first, then offsets, then deletions of state: after
    a failure in between, a state that is still there only repeats an alert under the same id, while a state that was
    deleted too early would cause a wrong one. Profiles go with the deletions then: a profile that is written too early
    would hide beats whose alert is not out, one that is missing only lacks some beats.
    """

    messages: tuple[Message, ...] = ()
    deletions: tuple[Message, ...] = ()  # and without transactions, profiles
    offsets: Mapping[int, int] = field(default_factory=dict)  # partition -> offset of the next record to read
    stream_times: Mapping[int, StreamTime] = field(default_factory=dict)  # by partition, after its last record
    read_from: Mapping[int, int] = field(default_factory=dict)  # of partitions of `offsets`: see `Assigned`

    def __bool__(self) -> bool:
        """Whether there is anything to deliver besides offsets."""
        return bool(self.messages or self.deletions)


def rfc3339(ms: int) -> str:
    """A time in ms since the epoch as RFC 3339 text, in UTC with milliseconds: `2026-11-29T20:18:00.000Z`."""
    return f"{np.datetime64(ms, 'ms')}Z"


def record_time(ms: int) -> str | None:
    """The time of a record as RFC 3339 text; None where it has no time, or one after the year 9999."""
    return rfc3339(ms) if is_time(ms) else None
