"""A column of byte strings inside a few buffers: keys or values of records, without a Python object for each."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Column:
    """n byte strings, each of them `size` bytes from `start` in its buffer.

    Values of the same buffer are next to each other, and in the order of the buffers.
    """

    buffers: tuple[NDArray[np.uint8], ...]
    ends: tuple[int, ...]  # for each buffer, how many values lie in it and in the buffers before it
    start: NDArray[np.int64]  # (n,), bytes into the value's buffer
    size: NDArray[np.int64]  # (n,), bytes; -1 stands for null

    @classmethod
    def within(cls, buffer: NDArray[np.uint8], start: NDArray[np.int64], size: NDArray[np.int64]) -> Column:
        """A column of values (n,) that lie in one buffer."""
        return cls((buffer,), (len(size),), start, size)

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Column:
        """A column of these values, copied into one new buffer."""
        try:
            size = np.fromiter(map(len, values), np.int64, len(values))  # type: ignore[arg-type]  # None has no length
            joined = b"".join(values)  # type: ignore[arg-type]
        except TypeError:
            return cls._with_nulls(values)
        return cls.within(np.frombuffer(joined, np.uint8), np.cumsum(size) - size, size)

    @classmethod
    def _with_nulls(cls, values: Sequence[bytes | None]) -> Column:
        size = np.fromiter((-1 if value is None else len(value) for value in values), np.int64, len(values))
        end = np.cumsum(np.maximum(size, 0))
        buffer = np.frombuffer(b"".join(value for value in values if value), np.uint8)
        return cls.within(buffer, end - np.maximum(size, 0), size)

    @classmethod
    def join(cls, columns: Sequence[Column]) -> Column:
        """The columns one after the other; no value is copied."""
        if len(columns) == 1:
            return columns[0]
        before = np.cumsum([0, *map(len, columns)]).tolist()
        ends = [first + end for first, column in zip(before, columns, strict=False) for end in column.ends]
        buffers = [buffer for column in columns for buffer in column.buffers]
        none = np.empty(0, np.int64)
        starts, sizes = [column.start for column in columns], [column.size for column in columns]
        return cls(tuple(buffers), tuple(ends), np.concatenate([none, *starts]), np.concatenate([none, *sizes]))

    def __len__(self) -> int:
        return len(self.size)

    def __getitem__(self, row: int) -> bytes | None:
        start, size = int(self.start[row]), int(self.size[row])
        buffer = self.buffers[bisect_right(self.ends, row % len(self))]
        return None if size < 0 else buffer[start : start + size].tobytes()

    def __iter__(self) -> Iterator[bytes | None]:
        for value, size in zip(self.views(), self.size.tolist(), strict=True):
            yield None if size < 0 else value.tobytes()

    def views(self) -> Iterator[memoryview]:
        """The values as views of their buffers; an empty one for a null."""
        start, end, first = self.start.tolist(), (self.start + self.size).tolist(), 0  # of a null, end < start: empty
        for buffer, last in zip(self.buffers, self.ends, strict=True):
            yield from map(buffer.data.__getitem__, map(slice, start[first:last], end[first:last]))
            first = last

    def trimmed(self, before: int, after: int) -> Column:
        """Every value without its first `before` and its last `after` bytes. No value may be shorter than both."""
        return Column(self.buffers, self.ends, self.start + before, self.size - before - after)

    def framed(self, rows: NDArray[np.intp], before: bytes, after: bytes) -> NDArray[np.bool_]:
        """Which of the values at `rows` (k,), ascending, begin with `before` and end with `after`: booleans (k,).

        Neither may be empty.
        """
        is_framed = self.size[rows] >= len(before) + len(after)
        rows = rows[is_framed]
        ends = Column(self.buffers, self.ends, self.start + self.size - len(after), self.size)
        begins = _equal(self.gather(rows, len(before)), before)
        is_framed[is_framed] = begins & _equal(ends.gather(rows, len(after)), after)
        return is_framed

    def select(self, rows: NDArray[np.intp]) -> Column:
        """The values at `rows` (k,), ascending, in the same buffers."""
        ends = np.searchsorted(rows, self.ends).tolist()
        return Column(self.buffers, tuple(ends), self.start[rows], self.size[rows])

    def part(self, start: int, stop: int) -> Column:
        """The values from row `start` up to row `stop`, without it, in the same buffers."""
        ends = tuple(min(max(end - start, 0), stop - start) for end in self.ends)
        return Column(self.buffers, ends, self.start[start:stop], self.size[start:stop])

    def gather(self, rows: NDArray[np.intp], size: int) -> NDArray[np.uint8]:
        """The values at `rows` (k,), ascending, all of them `size` > 0 bytes long, copied to an array (k, size)."""
        return self._pieces(rows, size).view(np.uint8).reshape(-1, size)

    def _pieces(self, rows: NDArray[np.intp], size: int) -> NDArray[np.void]:
        """The same as an array (k,) of byte strings.

        Each value is copied once: `every` is a view of the buffer with an overlapping item at each byte, and indexing
        it by the starts of the values copies just these.
        """
        kind = np.dtype((np.void, size))
        found, first = np.empty(len(rows), kind), 0
        for buffer, last in zip(self.buffers, np.searchsorted(rows, self.ends).tolist(), strict=True):
            if last > first:
                start = self.start[rows[first:last]]
                if size * len(start) == len(buffer) and (start == np.arange(0, len(buffer), size)).all():
                    found[first:last] = buffer.view(kind)  # these values are the whole buffer: a third of the time
                else:
                    every = np.ndarray((len(buffer) - size + 1,), kind, buffer, 0, (1,))
                    found[first:last] = every[start]
                first = last
        return found

    def objects(self, limit: int) -> NDArray[np.object_]:
        """The values as Python objects (n,), bytes or None; one NumPy pass for each size that occurs.

        None also stands for a value of more than `limit` bytes: so the number of passes is bounded.
        """
        found = np.full(len(self), None, np.object_)
        for size in np.unique(self.size).tolist():
            rows = np.flatnonzero(self.size == size)
            if 0 <= size <= limit:
                found[rows] = self._pieces(rows, size).tolist() if size else b""
        return found


def _equal(found: NDArray[np.uint8], wanted: bytes) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (found == np.frombuffer(wanted, np.uint8)).all(axis=1)
    return same
