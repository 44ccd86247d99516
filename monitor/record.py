"""Columns of Kafka records, in and out: what the broker brings, and what is delivered through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Records:
    """What one poll brought, as columns of equal length n; records of a partition stand together, in offset order."""

    topic: str
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    time: NDArray[np.int64]  # record timestamp, ms since the epoch
    key: tuple[bytes | None, ...]
    value: tuple[bytes | None, ...]
    headers: tuple[Headers, ...]
    fresh: frozenset[int] = frozenset()  # partitions assigned since the last records: their offsets may have jumped

    def __len__(self) -> int:
        return len(self.value)

    def select(self, keep: NDArray[np.bool_]) -> Records:
        """The same columns with only the records where `keep` (n,) is true."""
        rows = np.flatnonzero(keep).tolist()
        return Records(
            self.topic,
            self.partition[rows],
            self.offset[rows],
            self.time[rows],
            tuple(map(self.key.__getitem__, rows)),
            tuple(map(self.value.__getitem__, rows)),
            tuple(map(self.headers.__getitem__, rows)),
            self.fresh,
        )


def parts(partition: NDArray[np.int32]) -> list[tuple[int, slice]]:
    """Where each partition stands in a column of them: its number and its rows. Each stands in one place."""
    edges = [0, *(np.flatnonzero(np.diff(partition)) + 1).tolist(), len(partition)]
    return [(int(partition[start]), slice(start, end)) for start, end in pairwise(edges) if start < end]


@dataclass(frozen=True, slots=True)
class Message:
    """One record to produce; its key chooses the partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    may_omit_value: bool = False  # rather than hold up everything behind it when the broker finds it too large


@dataclass(frozen=True, slots=True)
class Change:
    """One record of the control topic, as it came."""

    key: bytes | None
    value: bytes | None
    offset: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that one step has to say, and how far it read: delivered together, or tried again together."""

    messages: tuple[Message, ...] = ()
    offsets: Mapping[int, int] = field(default_factory=dict)  # partition -> offset of the next record to read
