"""The noise before a beat: what a lead shows between two beats, where an undisturbed one shows little.

It is the log of the root mean square of the filter's `detail`, which passes QRS complexes and what disturbs them. The T
wave, which is slow, adds little; it and the QRS complexes are left out as far as possible.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from monitor.recordings.lead_filter import DETAIL_DELAY, DETAIL_PER_MV, LONG, RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.recordings.segmenter_state import Kept

AFTER_R, BEFORE_R = round(0.4 * RATE_HZ), round(0.2 * RATE_HZ)  # samples: from after R to before the next R
LONGEST = round(1.2 * RATE_HZ)  # only the last samples of a long pause, so that those that are kept suffice
LEAST = 15  # samples; fewer say nothing about noise
LOG_DETAIL_PER_MV = math.log(DETAIL_PER_MV)
STEPS = 1000  # to one unit of the log: noise is rounded, so that the text of a message gives the same number


def noise_before(known: Kept, end: int, beats: Iterable[tuple[int, int, int]]) -> NDArray[np.float32]:
    """The noise before each of n beats (n,): log of mV, rounded.

    `known` ends at sample number `end`. A beat is its lead, its R peak and the one before it, as in `FoundBeat`. NaN
    for the first beat of a lead, for one that follows within some 0.66 s, and where a sample is invalid or the lead is
    flat. There are few beats at a time, so that a few operations for each cost less than columns.
    """
    first, is_valid = end - known.detail.shape[1], known.is_valid
    found = []
    for lead, r, before in beats:
        stop = r + DETAIL_DELAY - BEFORE_R - first
        start = max(before + AFTER_R + DETAIL_DELAY - first, stop - LONGEST)
        reach = start - LONG  # `detail` looks so far back
        is_known = before >= 0 and stop - start >= LEAST and reach >= 0
        if is_known and (is_valid or np.count_nonzero(known.valid[lead, reach:stop]) == stop - reach):
            found.append(_log_rms(known.detail[lead, start:stop]))
        else:
            found.append(math.nan)
    return np.array(found, np.float32)


def _log_rms(detail: NDArray[np.int64]) -> float:
    """The log of the root mean square in mV; NaN where all is 0."""
    signal = detail.astype(np.float64)
    square = float(signal.dot(signal)) / len(signal)
    return round(STEPS * (0.5 * math.log(square) - LOG_DETAIL_PER_MV)) / STEPS if square else math.nan
