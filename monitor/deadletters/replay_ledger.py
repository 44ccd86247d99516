"""The replay ledger: a compacted topic that says which dead letters were put back already.

Each transaction of a replay puts letters back and adds one entry about them. An entry has ranges of offsets, so that
any number of consecutive letters takes a few bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Position = tuple[int, int]  # partition and offset on the dead letters topic
Range = tuple[int, int]  # first and last offset


class LedgerEntry(TypedDict):
    """The value of an entry."""

    topic_id: str  # of the dead letters topic
    replayed: dict[str, list[Range]]  # by partition


class ReplayLedger:
    """The positions that the entries name; `position in ledger` tells whether a letter was put back.

    Offsets start at 0 again when a topic is deleted and created. So an entry names the id of the topic that it is
    about, and entries about another topic are left out.
    """

    def __init__(self, topic_id: str) -> None:
        self._topic_id = topic_id
        self._ranges: defaultdict[int, list[Range]] = defaultdict(list)
        self._is_merged = True

    def add(self, value: bytes | None) -> dict[int, int] | None:
        """Add the entry in a record's value. Returns the last offset in each partition that the entry names.

        The result is empty for an entry about another topic, and None for a value that is not an entry.
        """
        try:
            content = orjson.loads(value or b"")
            found = [
                (int(partition), (int(first), int(last)))
                for partition, ranges in content["replayed"].items()
                for first, last in ranges
            ]
            is_ours = content["topic_id"] == self._topic_id
        except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, OverflowError, AttributeError):
            return None
        last_offsets: dict[int, int] = {}
        for partition, offsets in found if is_ours else ():
            self._ranges[partition].append(offsets)
            last_offsets[partition] = max(last_offsets.get(partition, 0), offsets[1])
        self._is_merged = False
        return last_offsets

    def __contains__(self, position: Position) -> bool:
        if not self._is_merged:
            self._ranges = defaultdict(list, {key: _merged(ranges) for key, ranges in self._ranges.items()})
            self._is_merged = True
        partition, offset = position
        ranges = self._ranges.get(partition, [])
        at = bisect_right(ranges, offset, key=lambda pair: pair[0]) - 1
        return at >= 0 and offset <= ranges[at][1]

    def entry(self, positions: Collection[Position]) -> tuple[bytes, bytes]:
        """Key and value of the entry about these letters, at least one.

        The key names the first and the last of them, so that no two entries share a key and compaction keeps both.
        """
        by_partition: defaultdict[str, list[int]] = defaultdict(list)
        for partition, offset in sorted(positions):
            by_partition[str(partition)].append(offset)
        ranges = {partition: _ranges(offsets) for partition, offsets in by_partition.items()}
        key = "{}/{}-{}/{}".format(*min(positions), *max(positions))
        entry: LedgerEntry = {"topic_id": self._topic_id, "replayed": ranges}
        return key.encode(), orjson.dumps(entry)


def _merged(ranges: list[Range]) -> list[Range]:
    """The same offsets in ascending ranges that neither overlap nor touch."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _ranges(offsets: list[int]) -> list[Range]:
    """Ascending offsets as ranges, one for each run without a gap."""
    edges = [edge for pair in pairwise(offsets) if pair[1] != pair[0] + 1 for edge in pair]
    flat = [offsets[0], *edges, offsets[-1]]
    return list(zip(flat[::2], flat[1::2], strict=True))


def is_obsolete(last_offsets: Mapping[int, int], beginnings: Mapping[int, int]) -> bool:
    """Whether the topic has deleted every letter that an entry names.

    `last_offsets` is what `ReplayLedger.add` gave for it, `beginnings` the first offset that each partition still has.
    """
    return all(offset < beginnings.get(partition, 0) for partition, offset in last_offsets.items())
