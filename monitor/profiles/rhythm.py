"""How early a beat comes, held against the source's last beats.

q = log of the RR over the median of the 16 before. The prematurity is -q over the spread of the last 48 q, at least
0.06, between -3 and 6. Measured on MIT-BIH 100 to 124, docs/experiments.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_KNOWN = 8  # RR, and q, before a beat can be called early
LEAST_SPREAD = np.float32(0.06)
NORMAL_SD = np.float32(1.4826)  # standard deviation over the median absolute deviation, of a normal distribution
LEAST_PREMATURITY, MOST_PREMATURITY = np.float32(-3), np.float32(6)
SHORTEST_RR, LONGEST_RR = 0.15, 5.0  # seconds; others are gaps or errors, and not known


@dataclass(frozen=True, slots=True)
class Rhythm:
    """RR of n beats of k sources, and what the sources remember after them."""

    q: NDArray[np.float32]  # (n,), NaN where it is not known
    prematurity: NDArray[np.float32]  # (n,), 0 where it is not known
    last_rr: NDArray[np.float32]  # (k, 16)
    last_q: NDArray[np.float32]  # (k, 48)


def rhythm(
    last_rr: NDArray[np.float32], last_q: NDArray[np.float32], rr: NDArray[np.float32], source: NDArray[np.int64]
) -> Rhythm:
    """The rhythm at beats with RR in seconds (n,). `source` (n,): their rows in `last_rr` and `last_q`, ascending."""
    is_known = (rr >= SHORTEST_RR) & (rr <= LONGEST_RR)
    before, last_rr = _followed(last_rr, rr, is_known, source)
    middle = _median(before)
    q = np.full(len(rr), np.nan, np.float32)
    q[is_known] = np.log(rr[is_known] / middle)
    is_known = np.isfinite(q)
    before, last_q = _followed(last_q, q, is_known, source)
    apart = before - _median(before)[:, None]
    spread = _median(np.abs(apart, out=apart)) * NORMAL_SD
    np.maximum(spread, LEAST_SPREAD, out=spread)
    prematurity = np.zeros(len(rr), np.float32)
    early = np.nan_to_num(-q[is_known] / spread, copy=False, nan=0.0)
    prematurity[is_known] = np.minimum(np.maximum(early, LEAST_PREMATURITY), MOST_PREMATURITY)
    return Rhythm(q, prematurity, last_rr, last_q)


def _followed(
    last: NDArray[np.float32], values: NDArray[np.float32], keep: NDArray[np.bool_], source: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each kept value (m,) the values of its source before it (m, width), and the last ones of each source after.

    `last` (k, width): the last values of each source before this batch. `values`, `keep` and `source` are (n,).
    """
    width = last.shape[1]
    if len(source) == len(last):  # one beat of each source
        after = np.empty_like(last, order="C")
        after[:, :-1], after[:, -1] = last[:, 1:], values
        if keep.all():
            return last, after
        after[~keep] = last[~keep]
        return last[keep], after
    owner = source[keep]
    new = np.bincount(owner, minlength=len(last))
    first = np.concatenate([[0], np.cumsum(new + width)[:-1]])  # of each source in `line`
    line = np.empty(int(new.sum()) + last.size, np.float32)
    steps = np.arange(width)
    line[first[:, None] + steps] = last
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(new) - new, new)
    place = first[owner] + rank
    line[place + width] = values[keep]
    return line[place[:, None] + steps], line[(first + new)[:, None] + steps]


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the numbers in each row (m, width); NaN where fewer than LEAST_KNOWN are known."""
    ordered, width = np.sort(values, axis=1), values.shape[1]  # NaN last
    middle: NDArray[np.float32] = (ordered[:, (width - 1) // 2] + ordered[:, width // 2]) * np.float32(0.5)
    some = np.flatnonzero(np.isnan(ordered[:, -1]))
    known = width - np.add.reduce(np.isnan(ordered[some]), axis=1)
    low, high = ordered[some, np.maximum(known - 1, 0) // 2], ordered[some, known // 2]
    middle[some] = np.where(known < LEAST_KNOWN, np.float32(np.nan), (low + high) * np.float32(0.5))
    return middle


def is_steady(q: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether beats came in the usual time; False where that is not known."""
    steady: NDArray[np.bool_] = np.abs(q) < 0.12  # noqa: PLR2004 - measured on MIT-BIH 100 to 124
    return steady
