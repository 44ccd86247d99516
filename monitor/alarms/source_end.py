"""Commands that end a source: its patient left, or its lead was taken off for good. No I/O.

A command names an offset of the partition that the source's beats are in. What the source sent before that offset is
over; a beat from there on begins a new source. So a command can be read again at any time and needs no memory: where
it was applied, nothing from before its offset is left.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.alarms.lifecycle import Acknowledgement

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PARTITION = re.compile(r"[0-9]{1,9}")
MAX_OFFSET = 2**53  # JSON has doubles
MAX_PARTITIONS = 16  # of one command; a source has beats in one, or in two after partitions were added
MAX_ENDS = 20_000  # that are kept, some 500 bytes each; of more, the oldest commands are forgotten


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """A command that ends a source."""

    source: bytes
    topic: str  # of the beats
    before: Mapping[int, int]  # partition -> offset: records before it are over
    given: Acknowledgement  # by whom, when and why


def read_offsets(fields: Mapping[str, Any]) -> tuple[str, dict[int, int]]:
    """The topic and the offsets in the fields of a command. Raises RefusedError with what is wrong."""
    topic, before = fields.get("topic"), fields.get("end")
    if not isinstance(before, dict) or not 0 < len(before) <= MAX_PARTITIONS:
        raise RefusedError(f'it has no `end` of 1 to {MAX_PARTITIONS} partitions, such as {{"0": 1200}}')
    for partition, offset in before.items():
        is_offset = isinstance(offset, float) and offset.is_integer() and 0 <= offset < MAX_OFFSET
        if not (_PARTITION.fullmatch(partition) and is_offset):
            raise RefusedError('an entry of `end` is not a partition with an offset, such as {"0": 1200}')
    if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
        raise RefusedError("it has no `topic`, that of the beats")
    return topic, {int(partition): int(offset) for partition, offset in before.items()}


class DueEnd(NamedTuple):
    """A command whose time has come in one partition: all records before `offset` were judged."""

    partition: int
    source: bytes
    offset: int
    given: Acknowledgement


class SourceEnds:
    """The commands, and which of them are still to be applied in the partitions that this member reads."""

    def __init__(self, topic: str) -> None:
        """`topic`: that of the beats. Commands about sources of another one are not for this monitor."""
        self._topic = topic
        self._known: dict[tuple[int, bytes], DueEnd] = {}  # the last one of each place, the newest at the end
        self._offsets: dict[int, list[int]] = {}  # of `_known` by partition, ascending
        self._pending: dict[int, dict[bytes, DueEnd]] = {}  # of the partitions that are read here

    def __len__(self) -> int:
        """How many commands are kept."""
        return len(self._known)

    def add(self, command: SourceEnd) -> None:
        if command.topic != self._topic:
            return
        for partition, offset in command.before.items():
            self._drop((partition, command.source))
            due = DueEnd(partition, command.source, offset, command.given)
            self._known[partition, command.source] = due
            insort(self._offsets.setdefault(partition, []), offset)
            if partition in self._pending:
                self._pending[partition][command.source] = due
            if len(self._known) > MAX_ENDS:
                self._drop(next(iter(self._known)))

    def _drop(self, place: tuple[int, bytes]) -> None:
        """Forget the command about a source, if there is one."""
        due = self._known.pop(place, None)
        if due is not None:
            self._offsets[due.partition].remove(due.offset)
            self._pending.get(due.partition, {}).pop(due.source, None)

    def assign(self, partition: int) -> None:
        """Begin to read a partition, or read it again: each of its commands may have to be applied."""
        self._pending[partition] = {due.source: due for due in self._known.values() if due.partition == partition}

    def revoke(self, partition: int) -> None:
        self._pending.pop(partition, None)

    def in_force(self, partition: int, offset: int) -> dict[bytes, int]:
        """The commands of a partition up to this offset: source -> the offset before which its records are over."""
        known = (due for due in self._known.values() if due.partition == partition and due.offset <= offset)
        return {due.source: due.offset for due in known}

    def first(self, partition: int, begin: int, end: int) -> int | None:
        """The first offset of a command between `begin` and `end`, both left out; None where there is none.

        A step ends there: a record before it belongs to the old source, one from there on to the new one.
        """
        offsets = self._offsets.get(partition, ())
        place = bisect_right(offsets, begin)
        return offsets[place] if place < len(offsets) and offsets[place] < end else None

    def waits(self, partition: int, offset: int, *, is_new: bool) -> bool:
        """Whether a command of up to this offset, that of the next record, is still to be applied.

        `is_new`: the partition is about to be assigned, so that each of its commands is.
        """
        if is_new:
            return bool(self._offsets.get(partition)) and self._offsets[partition][0] <= offset
        return any(due.offset <= offset for due in self._pending.get(partition, {}).values())

    def is_due(self, positions: Mapping[int, int]) -> bool:
        """Whether there is a command to apply. `positions`: of each partition, the next record to judge."""
        return any(self._due(positions))

    def take(self, positions: Mapping[int, int]) -> list[DueEnd]:
        """The commands to apply, in the order in which they were given; they are not given out again."""
        found = sorted(self._due(positions), key=lambda due: due.given.version)
        for due in found:
            del self._pending[due.partition][due.source]
        return found

    def _due(self, positions: Mapping[int, int]) -> Iterator[DueEnd]:
        for partition, of_partition in self._pending.items():
            yield from (due for due in of_partition.values() if due.offset <= positions.get(partition, -1))
