"""A batch in rounds: in a round no source has more beats than until its profile may change."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Round:
    """n beats of k sources, ordered by source, and within a source as they came."""

    beat: NDArray[np.int64]  # (n,), index in the batch
    source: NDArray[np.int64]  # (n,), which of the k sources
    rows: NDArray[np.int64]  # (k,), of the sources in `Profiles`
    counts: NDArray[np.int64]  # (k,), beats of each

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first beat of each source (k,)."""
        return np.cumsum(self.counts) - self.counts


def by_source(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Beats (n,) in the order of their rows (n,), those of one row as they come. By 16 bits at a time: by radix."""
    order = np.argsort(row.astype(np.uint16), kind="stable")
    high = row >> 16
    if high.any():  # more than 65,536 sources
        order = order[np.argsort(high[order].astype(np.uint16), kind="stable")]
    return order


def rounds(order: NDArray[np.int64], row: NDArray[np.int64], since: NDArray[np.int8]) -> Iterator[Round]:
    """The rounds of the beats at `order` (k,), by source, of a batch whose beats have these rows (n,) in `Profiles`.

    `since`: beats of each row since its profile may have changed.
    """
    if not len(order):
        return
    rows = row[order]
    firsts, counts = _spans(rows)
    if len(firsts) == len(rows):
        yield Round(order, np.arange(len(rows)), rows, counts)
        return
    number = (since[rows] + np.arange(len(rows)) - np.repeat(firsts, counts)) // BLOCK  # of the round
    if number.any():
        by_round = np.argsort(number, kind="stable")
        order, rows, number = order[by_round], rows[by_round], number[by_round]
    bounds = np.flatnonzero(np.diff(number, prepend=-1, append=number[-1] + 1))
    for start, stop in itertools.pairwise(bounds.tolist()):
        yield _round(order[start:stop], rows[start:stop])


def _spans(row: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first beat of each source (k,), and how many it has (k,), of beats that are ordered by source."""
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    return firsts, np.diff(firsts, append=len(row))


def _round(beat: NDArray[np.int64], row: NDArray[np.int64]) -> Round:
    firsts, counts = _spans(row)
    return Round(beat, np.repeat(np.arange(len(firsts)), counts), row[firsts], counts)


def waves(row: NDArray[np.integer]) -> Iterator[NDArray[np.int64]]:
    """The beats of sources (n,), ascending, in parts with at most one of each: the first of each, the second, …."""
    firsts, counts = _spans(row)
    for number in range(int(counts.max(initial=0))):
        yield firsts[counts > number] + number
