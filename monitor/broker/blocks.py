"""Consecutive records of one partition as columns, and the columns of a whole poll made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from monitor.broker.varint import decode
from monitor.records.column import Column
from monitor.records.record import Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.records.record import Assigned, Headers


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """n records of one partition, in offset order."""

    partition: int
    offset: NDArray[np.int64]
    time: NDArray[np.int64]  # record timestamp, ms since the epoch
    key: Column
    value: Column
    headers: Sequence[Headers]

    @classmethod
    def of(cls, records: Sequence[Any]) -> RecordBlock:
        """From n > 0 records of the client. Only their timestamps are converted one by one."""
        _, partition, _, offset, stamp, _, key, value, headers, *_ = zip(*records, strict=True)
        # a first timestamp and its delta may add up to more than 64 bits
        time = np.array([(time + 2**63) % 2**64 - 2**63 for time in stamp], np.int64)
        return cls(partition[0], np.array(offset, np.int64), time, Column.of(key), Column.of(value), headers)

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def bytes(self) -> int:
        """Size of all values, the larger part of what was sent."""
        return int(np.maximum(self.value.size, 0).sum())

    def part(self, start: int, stop: int) -> RecordBlock:
        """The records from `start` up to `stop`, in the same buffers."""
        rows, key, value = slice(start, stop), self.key.part(start, stop), self.value.part(start, stop)
        return RecordBlock(self.partition, self.offset[rows], self.time[rows], key, value, self.headers[rows])


class RawHeaders(Sequence["Headers"]):
    """Headers as Kafka writes them, decoded when they are read: only dead letters need them."""

    def __init__(self, raw: Column) -> None:
        """`raw`: the bytes of each record after its value; they must be well-formed."""
        self.raw = raw

    def __len__(self) -> int:
        return len(self.raw)

    @overload
    def __getitem__(self, row: int) -> Headers: ...
    @overload
    def __getitem__(self, row: slice) -> RawHeaders: ...
    def __getitem__(self, row: int | slice) -> Headers | RawHeaders:
        if isinstance(row, slice):
            return RawHeaders(self.raw.part(*row.indices(len(self.raw))[:2]))
        return read_headers(self.raw[row] or b"\0")


def read_headers(raw: bytes) -> Headers:
    r"""Names and values (null as None). Kafka accepts any bytes as a name: those that are not UTF-8 become `\xff`."""
    count, at = decode(raw, 0)
    found = []
    for _ in range(count):
        size, at = decode(raw, at)
        name, at = raw[at : at + size].decode(errors="backslashreplace"), at + size
        size, at = decode(raw, at)
        found.append((name, None if size < 0 else raw[at : at + size]))
        at += max(size, 0)
    return tuple(found)  # type: ignore[arg-type]  # the client gives null values as well


def join(
    topic: str, blocks: Sequence[RecordBlock], assigned: Mapping[int, Assigned], revoked: frozenset[int]
) -> Records:
    """The records of one poll, in the same buffers where there is one block."""
    sizes = [len(block) for block in blocks]
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
    )


def _joined(columns: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(columns) if columns else np.empty(0, np.int64)


def _headers(columns: list[Sequence[Headers]]) -> Sequence[Headers]:
    if len(columns) == 1:
        return columns[0]
    if all(isinstance(column, RawHeaders) for column in columns):
        return RawHeaders(Column.join([column.raw for column in columns if isinstance(column, RawHeaders)]))
    return tuple(chain.from_iterable(columns))
