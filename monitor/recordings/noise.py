"""The noise before a beat: what a lead shows between two beats, where an undisturbed one shows little.

It is the log of the root mean square of the filter's `detail`, which passes QRS complexes and what disturbs them. The T
wave, which is slow, adds little; it and the QRS complexes are left out as far as possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.recordings.lead_filter import DETAIL_DELAY, DETAIL_PER_MV, LONG, RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.recordings.segmenter_state import Kept

AFTER_R, BEFORE_R = (
    round(0.4 * RATE_HZ),
    round(0.2 * RATE_HZ),
)  # from so many samples after R to so many before the next
LONGEST = round(1.2 * RATE_HZ)  # only the last samples of a long pause, so that those that are kept suffice
LEAST = 15  # samples; fewer say nothing about noise
STEPS = 1000  # to one unit of the log: noise is rounded, so that the text of a message gives the same number


def noise_before(
    known: Kept, end: int, lead: NDArray[np.int64], r: NDArray[np.int64], before: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The noise before each of n beats (n,): log of mV, in steps of 0.001.

    `known` ends at sample number `end`; `r`, `before` (n,): the R peaks of the beats and those before them, sample
    numbers of `signal`; `before` is -1 for the first beat of a lead. NaN for such a beat, for one that follows within
    some 0.66 s, and where a sample was invalid or the lead flat.
    """
    stop = r + (DETAIL_DELAY - BEFORE_R)
    start = np.maximum(before + (AFTER_R + DETAIL_DELAY), stop - LONGEST)
    first = end - known.detail.shape[1]
    is_long = (before >= 0) & (stop - start >= LEAST) & (start - LONG >= first)
    noise = np.full(len(r), np.nan, np.float32)
    place = lead * known.detail.shape[1] + start - first
    noise[is_long] = _noise(known, place[is_long], (stop - start)[is_long])
    return noise


def _noise(known: Kept, place: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.float64]:
    """The noise (k,) of stretches that begin at these places, in all leads one after the other."""
    if not len(place):
        return np.empty(0)
    begin, at = _stretches(place, length)
    detail = known.detail.take(at) / DETAIL_PER_MV
    square = np.add.reduceat(detail * detail, begin) / length
    square[square == 0] = np.nan
    if not known.valid.all():
        begin, at = _stretches(place - LONG, length + LONG)  # `detail` looks so far back
        square[~np.logical_and.reduceat(known.valid.take(at), begin)] = np.nan
    return np.rint(STEPS / 2 * np.log(square)) / STEPS


def _stretches(place: NDArray[np.int64], length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each stretch begins among the samples of all of them (k,), and the places of these samples."""
    stop = length.cumsum()
    begin = stop - length
    return begin, np.arange(stop[-1]) + np.repeat(place - begin, length)
