"""Beats of many sources, put in order source by source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class SourceOrder:
    """n beats of k sources, source by source, those of one source as they came."""

    beat: NDArray[np.intp]  # (n,), index in the batch
    source: NDArray[np.intp]  # (n,), 0 to k-1, ascending
    rank: NDArray[np.intp]  # (n,), beats of the source before this one in the batch
    counts: NDArray[np.intp]  # (k,), beats of each source; may be 0

    @classmethod
    def of(cls, source: NDArray[np.integer], count: int) -> SourceOrder:
        """The order of beats of these sources (n,), out of so many."""
        beat = np.argsort(source, kind="stable")
        counts = np.bincount(source, minlength=count)
        ordered = np.repeat(np.arange(count), counts)
        return cls(beat, ordered, np.arange(len(beat)) - (np.cumsum(counts) - counts)[ordered], counts)

    def back(self, ordered: NDArray[T]) -> NDArray[T]:
        """A column (n,) in this order, as the beats came."""
        column = np.empty_like(ordered)
        column[self.beat] = ordered
        return column

    def last(self, ordered: NDArray[T], before: NDArray[T]) -> NDArray[T]:
        """The value of each source (k,) at its last beat, of a column (n,) in this order; as `before` without one."""
        after = before.copy()
        some = np.flatnonzero(self.counts)
        after[some] = ordered[np.cumsum(self.counts)[some] - 1]
        return after


def recent_bits(
    sources: SourceOrder, flags: NDArray[np.bool_], before: NDArray[np.uint16], width: int
) -> NDArray[np.uint16]:
    """A bit for each of the last `width` beats, at most 16, at each of n beats (n,): 1 = flagged, the newest lowest.

    `flags` (n,) in the order of `sources`; `before` (k,): the bits before the batch.
    """
    shift = np.minimum(sources.rank + 1, width).astype(np.uint32)
    bits = before[sources.source].astype(np.uint32) << shift
    flagged = flags.astype(np.uint32)
    for age in range(min(width, int(sources.counts.max(initial=0)))):
        bits[age:] |= np.where(sources.rank[age:] >= age, flagged[: len(flagged) - age] << np.uint32(age), 0)
    return (bits & np.uint32((1 << width) - 1)).astype(np.uint16)
