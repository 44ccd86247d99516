"""Consecutive records of one partition as columns, and the columns of a whole poll made of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, overload

import numpy as np

from monitor.records.column import Column
from monitor.records.record import Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from monitor.records.record import Assigned, Headers, SetAside


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """n records of one partition, in offset order."""

    partition: int
    offset: NDArray[np.int64]
    time: NDArray[np.int64]  # record timestamp, ms since the epoch
    key: Column
    value: Column
    headers: Sequence[Headers]
    set_aside: Mapping[int, SetAside] = field(default_factory=dict)  # by row

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def bytes(self) -> int:
        """Bytes of keys and values."""
        return sum(int(np.maximum(column.size, 0).sum()) for column in (self.key, self.value))

    def before(self, offset: int) -> RecordBlock:
        """The same with only the records before this offset."""
        stop = int(np.searchsorted(self.offset, offset))
        if stop == len(self):
            return self
        key, value = self.key.part(0, stop), self.value.part(0, stop)
        set_aside = {row: one for row, one in self.set_aside.items() if row < stop}
        return RecordBlock(
            self.partition, self.offset[:stop], self.time[:stop], key, value, self.headers[:stop], set_aside
        )

    @classmethod
    def of_set_aside(cls, partition: int, one: SetAside, time_ms: int) -> RecordBlock:
        """The one row that stands for records that were not read."""
        nothing = Column.of((None,))
        offset, time = np.array([one.last_offset], np.int64), np.array([time_ms], np.int64)
        return cls(partition, offset, time, nothing, nothing, ((),), {0: one})


def block_place(block: RecordBlock) -> tuple[int, int]:
    """Partition and first offset: blocks in this order can be joined."""
    return block.partition, int(block.offset[0])


def join(
    topic: str, blocks: Sequence[RecordBlock], assigned: Mapping[int, Assigned], revoked: frozenset[int]
) -> Records:
    """The records of one poll, in the same buffers where there is one block."""
    sizes = [len(block) for block in blocks]
    starts = accumulate(sizes, initial=0)
    return Records(
        topic,
        np.repeat(np.array([block.partition for block in blocks], np.int32), sizes),
        _joined([block.offset for block in blocks]),
        _joined([block.time for block in blocks]),
        Column.join([block.key for block in blocks]),
        Column.join([block.value for block in blocks]),
        _headers([block.headers for block in blocks]),
        assigned,
        revoked,
        {
            first + row: one
            for first, block in zip(starts, blocks, strict=False)
            for row, one in block.set_aside.items()
        },
    )


def _joined(columns: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(columns) if columns else np.empty(0, np.int64)


def _headers(columns: list[Sequence[Headers]]) -> Sequence[Headers]:
    return columns[0] if len(columns) == 1 else _JoinedHeaders(columns)


class _JoinedHeaders(Sequence["Headers"]):
    """The headers of several blocks, one after the other. None is decoded before somebody asks for it."""

    def __init__(self, columns: Sequence[Sequence[Headers]]) -> None:
        self._columns = columns
        self._ends = list(accumulate(map(len, columns)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, row: int) -> Headers: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[Headers, ...]: ...
    def __getitem__(self, row: int | slice) -> Headers | tuple[Headers, ...]:
        if isinstance(row, slice):
            return tuple(map(self.__getitem__, range(*row.indices(len(self)))))
        column = bisect_right(self._ends, row)
        return self._columns[column][row - self._ends[column]]

    def __iter__(self) -> Iterator[Headers]:
        return chain.from_iterable(self._columns)
