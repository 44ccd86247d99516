"""Where a group goes on in a partition, and how that is committed to Kafka: as an offset with metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from monitor.broker.client import CommittedOffset
from monitor.records.stream_time import StreamTime

if TYPE_CHECKING:
    from monitor.records.record import Assigned, Checkpoint

# What follows is not ours: confluent-kafka 2.16.1 commits one more byte, and may read more than there is. Versions
# without profiles read up to the first semicolon, and still older ones committed a time alone, of 13 digits until the
# year 2286.
_METADATA, _OLDER = (
    re.compile(r"(?:clock=([-\d,]+))?(?: ?of=(\d{1,9}))?;(?:from=(\d{1,19});)?.*", re.DOTALL),
    re.compile(r"clock=(-?\d{1,13})\0?"),
)


class CommittedPlace(NamedTuple):
    """What a group commits of a partition: all of it changes together."""

    offset: int  # of the next record to judge
    stream_time: StreamTime | None  # before that record; None: not known
    read_from: int  # of the first record to read, at most `offset`: those before it complete the profiles

    @classmethod
    def at(cls, offset: int, stream_time: StreamTime | None = None) -> CommittedPlace:
        """A place from which nothing is read again."""
        return cls(offset, stream_time, offset)

    @classmethod
    def of(cls, assigned: Assigned) -> CommittedPlace:
        """Where a member began."""
        return cls(assigned.offset, assigned.stream_time, assigned.read_from)

    @classmethod
    def committed(cls, one: CommittedOffset) -> CommittedPlace:
        """From an offset and its metadata. What another program committed has an offset alone."""
        found = _METADATA.fullmatch(one.metadata)
        clock = found or _OLDER.fullmatch(one.metadata)
        stream_time = StreamTime.parse(clock[1]) if clock is not None and clock[1] else None
        again = int(found[3]) if found is not None and found[3] else one.offset
        return cls(one.offset, stream_time, min(again, one.offset))

    def to_commit(self, partitions: int = 0) -> CommittedOffset:
        """The offset with its metadata.

        `partitions`: how many the topic had when the group began to read this one; 0: not known.
        """
        clock = [] if self.stream_time is None else [f"clock={self.stream_time.text()}"]
        known = [f"of={partitions}"] if partitions else []
        again = f"from={self.read_from};" if self.read_from < self.offset else ""
        return CommittedOffset(self.offset, " ".join([*clock, *known]) + ";" + again)


def places(checkpoint: Checkpoint) -> dict[int, CommittedPlace]:
    """The place in each partition of which the checkpoint has an offset."""
    times, again = checkpoint.stream_times, checkpoint.read_from
    return {
        partition: CommittedPlace(offset, times.get(partition), min(again.get(partition, offset), offset))
        for partition, offset in checkpoint.offsets.items()
    }


def known_partitions(metadata: str) -> int:
    """The number of partitions that was committed with an offset; 0 where none was."""
    found = _METADATA.fullmatch(metadata)
    return 0 if found is None or found[2] is None else int(found[2])
