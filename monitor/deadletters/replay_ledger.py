"""Which dead letters went back already: a note on each delivery, kept on a compacted topic beside the letters."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Place = tuple[int, int]  # partition and offset on the dead letters topic
Range = tuple[int, int]  # first and last offset


class ReplayLedger:
    """The places that the notes name. Offsets begin again in a topic made anew: a note tells its topic's id."""

    def __init__(self, topic_id: str) -> None:
        self._topic_id = topic_id
        self._ranges: defaultdict[int, list[Range]] = defaultdict(list)
        self._is_merged = True

    def add(self, value: bytes | None) -> dict[int, int] | None:
        """Take a note: the last offset it names of each partition, none when it is about an earlier topic.

        None where it is no note.
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
        last: dict[int, int] = {}
        for partition, offsets in found if is_ours else ():
            self._ranges[partition].append(offsets)
            last[partition] = max(last.get(partition, 0), offsets[1])
        self._is_merged = False
        return last

    def __contains__(self, place: Place) -> bool:
        if not self._is_merged:
            self._ranges = defaultdict(list, {key: _merged(ranges) for key, ranges in self._ranges.items()})
            self._is_merged = True
        partition, offset = place
        ranges = self._ranges.get(partition, [])
        at = bisect_right(ranges, offset, key=lambda pair: pair[0]) - 1
        return at >= 0 and offset <= ranges[at][1]

    def note(self, places: Collection[Place]) -> tuple[bytes, bytes]:
        """Key and value of the note on a delivery of these."""
        by_partition: defaultdict[str, list[int]] = defaultdict(list)
        for partition, offset in sorted(places):
            by_partition[str(partition)].append(offset)
        ranges = {partition: _ranges(offsets) for partition, offsets in by_partition.items()}
        key = "{}/{}-{}/{}".format(*min(places), *max(places))
        return key.encode(), orjson.dumps({"topic_id": self._topic_id, "replayed": ranges})


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _ranges(offsets: list[int]) -> list[Range]:
    """Each run of offsets without a gap."""
    edges = [edge for pair in pairwise(offsets) if pair[1] != pair[0] + 1 for edge in pair]
    flat = [offsets[0], *edges, offsets[-1]]
    return list(zip(flat[::2], flat[1::2], strict=True))


def is_obsolete(last: Mapping[int, int], beginnings: Mapping[int, int]) -> bool:
    """Whether every letter that a note names is gone from the topic."""
    return all(offset < beginnings.get(partition, 0) for partition, offset in last.items())
