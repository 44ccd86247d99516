"""Which row belongs to which source of which partition, and which of its beats are in no stored row yet.

A source's *oldest* beat is the first one that its stored row does not have. The row is to be stored at its *due*
offset, 3/4 F to F records after that beat, where F = 8 x (sources of the partition) + 1000. Where in between is
different for each row and each time, so that rows become due evenly: some 1 for every 7 beats. A larger F writes fewer
rows and reads more beats again: with 100,000 sources 24 took 37 s before the first new beat, 12 up to 24 s, and 8 up to
18 s. Of these, kafka-python takes 10 to 15 µs a beat. A row takes 13 µs of CPU, 30 with kafka-python.

Looking at all rows takes 0.1 ms for 100,000, which is too much for a step of ten beats. So each partition keeps lower
bounds of its smallest oldest and due offsets. They stay right without looking, because later beats have larger offsets.
When the end of a step passes the smallest due offset, the rows are looked at, those that become due within the next
F / 64 records are stored as well, and the bounds are exact again. So a partition is looked at once in F / 64 records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import NONE
from monitor.profiles.last_beats import LastBeats
from monitor.profiles.reservoir import draw
from monitor.records.record import partition_slices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.beats.beat import Beats
    from monitor.profiles.exchange import Heard
    from monitor.records.stream_time import StreamTime

END = 2**63 - 1  # larger than any offset: nothing is missing in the stored row
BEATS_BEHIND, LEAST_BEHIND = 8, 1000  # of F: records for each source of the partition, and for all
EARLY = 64  # parts of F: one of them is the time in which rows are stored together


@dataclass(slots=True)
class PartitionRows:
    """What is known of one partition."""

    begin: int  # offset of the first record that was not judged before this member was given the partition
    read_again: int  # offset from which records are read, at most `begin`
    rows: dict[bytes, int]  # of its sources
    end: int  # offset after the last record that was judged
    oldest: int = END  # at most the smallest oldest offset
    due: int = END  # at most the smallest due offset
    time: StreamTime | None = None
    # Of sources that ended: the offset before which their beats, where they are read again, count for nothing.
    ended: dict[bytes, int] = field(default_factory=dict)
    heard: Mapping[bytes, Heard] = field(default_factory=dict)  # before `begin`: see `StoredRows`
    looked_ms: int = 0  # stream time at which it was last looked for sources that are not heard any more

    @property
    def behind(self) -> int:
        """F: a row is stored before its oldest beat is this many records behind."""
        return BEATS_BEHIND * len(self.rows) + LEAST_BEHIND


class Register:
    """The rows of all sources."""

    def __init__(self) -> None:
        self.partitions: dict[int, PartitionRows] = {}
        self.partition = np.empty(0, np.int32)  # of each row; NONE where no source has it, and so for the others
        self.name = np.empty(0, np.object_)
        self.heard_ms = np.empty(0, np.int64)  # stream time of its partition when it was last heard
        self.is_stored = np.empty(0, np.bool_)  # whether a row of it was written
        self.last = LastBeats()
        self._oldest = np.empty(0, np.int64)
        self._due = np.empty(0, np.int64)
        self.urgent: set[int] = set()  # rows to be stored at the next occasion

    def rows(self, partition: int) -> NDArray[np.int64]:
        """The rows of a partition's sources."""
        return np.flatnonzero(self.partition == partition)

    def put(self, partition: int, names: Sequence[bytes], rows: NDArray[np.int64], *, is_stored: bool) -> None:
        """Give rows (k,) to sources (k,) of a partition, which have none."""
        self.grow(int(rows.max(initial=NONE)) + 1)
        owner = self.partitions[partition]
        owner.rows.update(zip(names, rows.tolist(), strict=True))
        self.partition[rows], self.is_stored[rows] = partition, is_stored
        self.heard_ms[rows] = owner.time.now if owner.time else 0
        self.last.begin(rows)
        heard = owner.heard if owner.end <= owner.begin else {}
        for row, name in zip(rows.tolist(), names, strict=True):
            self.name[row] = name
            if name in heard:
                self.last.restore_one(row, *heard[name])

    def heard_again(self, beats: Beats, rows: NDArray[np.int64]) -> None:
        """Note the last beats of sources among beats (n,) that are read again. `rows` (n,): theirs, or NONE."""
        for partition, part in partition_slices(beats.partition):
            offset, owner = beats.offset[part], self.partitions[partition]
            if offset[0] < owner.begin:
                again = np.flatnonzero((offset < owner.begin) & (rows[part] != NONE))
                self.last.restore(rows[part][again], offset[again], beats.time[part][again], owner.time)

    def row(self, partition: int, source: bytes) -> int:
        """The row of a source; NONE where it has none."""
        owner = self.partitions.get(partition)
        return NONE if owner is None else owner.rows.get(source, NONE)

    def source(self, row: int) -> bytes:
        """The source in a row."""
        return bytes(self.name[row])

    def grow(self, size: int) -> None:
        """Make room for rows up to this number."""
        if (more := size - len(self.partition)) <= 0:
            return
        more = max(more, len(self.partition) // 2)
        self.partition = np.append(self.partition, np.full(more, NONE, np.int32))
        self.name = np.append(self.name, np.full(more, None, np.object_))
        self.heard_ms = np.append(self.heard_ms, np.zeros(more, np.int64))
        self.last.grow(more)
        self.is_stored = np.append(self.is_stored, np.zeros(more, np.bool_))
        self._oldest = np.append(self._oldest, np.full(more, END))
        self._due = np.append(self._due, np.full(more, END))

    def take_back(self, rows: NDArray[np.int64]) -> list[tuple[int, bytes]]:
        """Take rows (k,) from their sources; returns partition and source of those that were written."""
        stored = [self._place(row) for row in rows[self.is_stored[rows]].tolist()]
        for row in rows[self.partition[rows] != NONE].tolist():
            partition, name = self._place(row)
            del self.partitions[partition].rows[name]
        self._forget(rows)
        return stored

    def _forget(self, rows: NDArray[np.int64]) -> None:
        self.partition[rows], self.is_stored[rows], self.name[rows] = NONE, False, None
        self._oldest[rows] = self._due[rows] = END
        self.urgent.difference_update(rows.tolist())

    def _place(self, row: int) -> tuple[int, bytes]:
        return int(self.partition[row]), self.name[row]

    def hand_over(self, old: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Give sources other rows: new (k,) for old (k,). Their beats so far still have to be read again."""
        self.grow(int(new.max(initial=NONE)) + 1)
        for column in (self.partition, self.name, self.heard_ms, self.is_stored, self._oldest, self._due):
            column[new] = column[old]
        self.last.hand_over(old, new)
        for before, row in zip(old.tolist(), new.tolist(), strict=True):
            partition, name = self._place(row)
            self.partitions[partition].rows[name] = row
            if before in self.urgent:
                self.urgent.add(row)
        self._forget(old)

    def lacks(self, rows: NDArray[np.int64], offset: NDArray[np.int64]) -> None:
        """The stored rows (k,) of sources end before the beats at these offsets (k,)."""
        is_new = (self._oldest[rows] == END) & (self.partition[rows] != NONE)
        rows, offset = rows[is_new], offset[is_new]
        owners = self.partition[rows]
        for partition in np.unique(owners).tolist():
            is_own = owners == partition
            self._lacks(self.partitions[partition], rows[is_own], offset[is_own])

    def _lacks(self, owner: PartitionRows, rows: NDArray[np.int64], offset: NDArray[np.int64]) -> None:
        """The same for rows of one partition, which had everything."""
        share = draw(rows + offset).astype(np.int64)  # of 2^32
        early = owner.behind // 4
        due = offset + owner.behind - early + (early * share >> 32)
        self._oldest[rows], self._due[rows] = offset, due
        owner.oldest, owner.due = min(owner.oldest, int(offset.min())), min(owner.due, int(due.min()))

    def due(self, partition: int, end: int) -> NDArray[np.int64]:
        """The rows of a partition that are to be stored at the end of a step, which is this offset."""
        owner = self.partitions[partition]
        owner.end = max(owner.end, end)
        if owner.due > end or end <= owner.begin:
            return np.empty(0, np.int64)
        rows = self.rows(partition)
        is_due = self._due[rows] <= end + owner.behind // EARLY
        owner.oldest = int(self._oldest[rows[~is_due]].min(initial=END))
        owner.due = int(self._due[rows[~is_due]].min(initial=END))
        return rows[is_due]

    def written(self, rows: NDArray[np.int64]) -> list[tuple[int, bytes]]:
        """These rows (k,) are stored now; returns their partitions and sources."""
        self._oldest[rows] = self._due[rows] = END
        self.is_stored[rows] = True
        self.urgent.difference_update(rows.tolist())
        return list(map(self._place, rows.tolist()))

    def read_from(self, partition: int, end: int) -> int:
        """The offset from which a member has to read a partition again, if its records are judged up to `end`.

        Until this member has itself read all records again, that stays where it was.
        """
        owner = self.partitions[partition]
        return owner.read_again if end <= owner.begin else min(owner.oldest, end)

    def silence_ms(self) -> NDArray[np.int64]:
        """For how long each row's source has not been heard, in stream time; -1 for a row without source."""
        now = np.zeros(max(self.partitions, default=0) + 2, np.int64)  # the last one is that of NONE
        is_timed = np.zeros(len(now), np.bool_)
        for number, owner in self.partitions.items():
            if owner.time:
                now[number], is_timed[number] = owner.time.now, True
        silence = np.where(is_timed[self.partition], now[self.partition] - self.heard_ms, 0)
        return np.where(self.partition == NONE, NONE, silence)
