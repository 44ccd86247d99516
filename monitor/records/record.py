"""Columns of Kafka records, in and out: what the broker brings, and what is delivered through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.records.column import Column

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """A record of the control topic; its offset is the version of what it sets."""

    key: bytes | None
    value: bytes | None
    offset: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """Where a partition stands that this member begins to read, or reads again after its last step came to nothing."""

    offset: int  # of the next record
    stream_time: int | None  # highest beat time before it, ms since the epoch; None where nobody noted it
    state: Mapping[bytes, bytes]  # source -> its episode state, as it was delivered
    atomic: bool  # state and offsets are delivered in one transaction


@dataclass(frozen=True, slots=True)
class Records:
    """What one poll brought, as columns of equal length n; records of a partition stand together, in offset order."""

    topic: str
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    time: NDArray[np.int64]  # record timestamp, ms since the epoch
    key: Column
    value: Column
    headers: Sequence[Headers]
    assigned: Mapping[int, Assigned] = field(default_factory=dict)  # partitions that begin anew: forget what was known
    revoked: frozenset[int] = frozenset()  # partitions that are somebody else's now
    control_records: tuple[
        ControlRecord, ...
    ] = ()  # control records since the last poll; with the first one, the topic's whole past

    def __len__(self) -> int:
        return len(self.value)

    def select(self, keep: NDArray[np.bool_]) -> Records:
        """The same columns with only the records where `keep` (n,) is true."""
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
            self.control_records,
        )


def partition_slices(partition: NDArray[np.int32]) -> list[tuple[int, slice]]:
    """Where each partition stands in a column of them: its number and its rows. Each stands in one place."""
    edges = [0, *(np.flatnonzero(np.diff(partition)) + 1).tolist(), len(partition)]
    return [(int(partition[start]), slice(start, end)) for start, end in pairwise(edges) if start < end]


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What a broker did since it was last asked; counts, but for the times of restores."""

    commits: int = 0  # of offsets, with the messages that belong to them
    commit_failures: int = 0
    rewinds: int = 0  # transactions that came to nothing: their records are read again
    offset_resets: int = 0
    lost_records: int = 0  # deleted by retention before this group read them
    restored_sources: int = 0  # rows of episode state
    restore_seconds: tuple[float, ...] = ()  # one entry a restore

    def __add__(self, other: BrokerFacts) -> BrokerFacts:
        return BrokerFacts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Message:
    """One record to produce; its key chooses the partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    may_omit_value: bool = False  # rather than hold up everything behind it when the broker finds it too large
    partition: int | None = None  # where the key does not choose it


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that one step has to say, and how far it read: delivered together, or not at all.

    Where nothing can be delivered together, deletions of state follow the offsets: state that is there once too often
    only repeats an alert under the same id, state that is gone too early makes one up.
    """

    messages: tuple[Message, ...] = ()
    deletions: tuple[Message, ...] = ()
    offsets: Mapping[int, int] = field(default_factory=dict)  # partition -> offset of the next record to read
    stream_times: Mapping[int, int] = field(default_factory=dict)  # partition -> highest beat time so far, ms

    def __bool__(self) -> bool:
        """Whether it says anything beyond how far was read."""
        return bool(self.messages or self.deletions)


def rfc3339(ms: int) -> str:
    """A time in ms since the epoch as RFC 3339 text, in UTC with milliseconds."""
    return f"{np.datetime64(ms, 'ms')}Z"
