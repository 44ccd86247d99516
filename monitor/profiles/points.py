"""The points at which beats of two windows are compared, and the steps by which a beat is moved to fit a profile.

A window of recordings has 140 samples, 4.72 ms apart, from 0.248 s before the R peak to 0.408 s after it. A beat is
compared at 60 *points* between -0.20 s and +0.36 s. A point is the mean of two neighbouring samples. The rest of the
window is a margin: the first point may lie at any of 21 samples, which moves the beat by up to 47 ms either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.beats.window import R_CENTRED

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP_SECONDS = (R_CENTRED.before_seconds + R_CENTRED.after_seconds) / (SAMPLES - 1)
MARGIN = 10  # samples on either side, 47 ms
SHIFTS = 2 * MARGIN + 1  # places of the first point
POINTS = (SAMPLES - 2 * MARGIN) // 2  # 60
SECONDS = -R_CENTRED.before_seconds + STEP_SECONDS * (MARGIN + 0.5 + 2 * np.arange(POINTS))  # (60,), of the points


def _between(first: float, last: float) -> slice:
    """The points between two times, in seconds from R."""
    inside = np.flatnonzero((first <= SECONDS) & (last >= SECONDS))
    return slice(int(inside[0]), int(inside[-1]) + 1)


QRS = _between(-0.10, 0.14)  # points of the ventricular complex, wide ones included
P_WAVE = _between(-0.20, -0.09)
_SAMPLE_SECONDS = R_CENTRED.seconds_from_r
BEFORE_QRS = slice(0, int(np.searchsorted(_SAMPLE_SECONDS, -0.10)))  # samples
AFTER_QRS = slice(int(np.searchsorted(_SAMPLE_SECONDS, 0.14)), SAMPLES)
SLOPE: NDArray[np.float32] = np.linspace(-1, 1, POINTS, dtype=np.float32)  # a straight line with mean 0
SLOPE_SQUARES = float(np.sum(SLOPE.astype(np.float64) ** 2))


def column_sums(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sums (n,) of columns (m, n), added from the first row to the last whatever n is.

    NumPy adds a single column in another order, and a score must not depend on how many beats there are.
    """
    if points.shape[1] == 1:
        sums: NDArray[np.float32] = np.add.accumulate(points, axis=0)[-1]
    else:
        sums = np.add.reduce(points, axis=0)
    return sums


def levelled(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Beats (60, n) without their mean and their slope."""
    mean = column_sums(points)
    mean *= np.float32(1 / POINTS)
    slope = column_sums(points * SLOPE[:, None])
    slope *= np.float32(1 / SLOPE_SQUARES)
    straight = SLOPE[:, None] * -slope
    straight += points
    straight -= mean
    return straight
