"""What is left of a beat when its template is subtracted, and how large that is.

The beat is moved by up to 47 ms to where it fits the template best, the template is multiplied by a gain of 0.65 to
1.5, and offset and slope are taken out. The distance is the log of the largest mean, over neighbouring points, of
squares weighted by the spread of the source's own beats. Constants: measured on MIT-BIH 100 to 124, see
docs/experiments.md.

Every beat is computed on its own, with operations that do not depend on how many there are: no matrix product, whose
rounding may. Beats are in columns, (60, n), so that a step over all points of all beats is one operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.points import (
    AFTER_QRS,
    BEFORE_QRS,
    MARGIN,
    POINTS,
    QRS,
    SHIFTS,
    column_sums,
    levelled,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_GAIN, MOST_GAIN = np.float32(0.65), np.float32(1.5)
LEAST_SPREAD = np.float32(0.2)  # added to the spread, in units of the scale: finer differences mean nothing
QRS_RUN, WHOLE_RUN = 8, 10  # points of a mean
SMOOTHING_POINTS, SMOOTHING_REACH = 1.5, 4  # standard deviation and half width of the Gaussian
COLUMNS = 16  # beats of a vector of the processor, or a multiple
TINY = np.float32(1e-6)
_WEIGHTS = np.exp(-0.5 * (np.arange(SMOOTHING_REACH + 1) / SMOOTHING_POINTS) ** 2)
_KERNEL = [np.float32(weight) for weight in _WEIGHTS / (_WEIGHTS[0] + 2 * _WEIGHTS[1:].sum())]


@dataclass(frozen=True, slots=True)
class Residuals:
    """n beats held against one template each."""

    distance: NDArray[np.float32]  # (n,), L, over the whole beat
    qrs_distance: NDArray[np.float32]  # (n,), LQ
    correlation: NDArray[np.float32]  # (n,), of beat and template over the ventricular complex
    gain: NDArray[np.float32]  # (n,), of the template
    rest: NDArray[np.float32]  # (60, n), in units of the template's scale
    smooth: NDArray[np.float32]  # (60, n), the same, smoothed

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Residuals:
        """Those of some beats."""
        return Residuals(*(getattr(self, name)[..., keep] for name in self.__slots__))

    def replace(self, at: NDArray[np.int64], others: Residuals) -> None:
        """Put others (k,) in the place of these beats (k,)."""
        for name in self.__slots__:
            getattr(self, name)[..., at] = getattr(others, name)


def turned(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Rows (n, m), or one row (1, m) for all, as columns (m, k): `count` of them, and zeros up to a multiple of 16.

    So each column takes the same path through the processor's vectors, and no sum depends on how many there are.
    """
    columns = np.zeros((rows.shape[1], -(-count // COLUMNS) * COLUMNS), np.float32)
    columns[:, :count] = rows.T
    return columns


def compare(samples: NDArray[np.float32], templates: NDArray[np.void]) -> Residuals:
    """Hold beats (n, 140) against templates: records (n,) of `columns.TEMPLATE`, or (1,) for all beats.

    Some 500 beats at once are quickest: more do not fit into the cache.
    """
    count = len(samples)
    model = turned(templates["typical"], count)
    points, product = _moved(samples, model)
    gain = product / (column_sums(model * model) + TINY * TINY)
    np.minimum(np.maximum(gain, LEAST_GAIN), MOST_GAIN, out=gain)
    correlation = _correlation(points, model)
    points -= model * gain
    points[:, :count] *= 1 / templates["scale"]
    smooth = smoothed(points)
    spread = turned(templates["spread"], count)
    spread *= spread
    spread += LEAST_SPREAD * LEAST_SPREAD
    squares = smooth * smooth
    squares /= spread
    parts = *_largest_means(squares), correlation, gain, points, smooth
    return Residuals(*(part[..., :count] for part in parts))


def _moved(samples: NDArray[np.float32], model: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The points (60, k) of beats, moved to where their product with the template is largest, and that product (k,).

    `model`: the templates (60, k).
    """
    signal = turned(samples, len(samples))
    pairs = signal[:-1] + signal[1:]
    pairs *= np.float32(0.5)
    width = pairs.shape[1]
    row, column = pairs.strides
    windows = np.ndarray((SHIFTS, POINTS, width), np.float32, pairs, strides=(row, 2 * row, column))
    product = np.einsum("spk,pk->sk", windows, model)
    best = product.argmax(axis=0)
    place = best * width + np.arange(width)
    points = pairs.ravel().take(place + 2 * width * np.arange(POINTS)[:, None])
    return levelled(points), product.ravel().take(place)


def unmoved(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points (60, n) of beats (n, 140) that are not moved."""
    last = samples.shape[1] - MARGIN
    pairs = samples[:, MARGIN:last:2] + samples[:, MARGIN + 1 : last : 2]
    return levelled(np.ascontiguousarray(pairs.T) * np.float32(0.5))


def smoothed(rest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Residuals (60, n), smoothed along the points; the first and last are repeated beyond the ends."""
    padded = np.empty((POINTS + 2 * SMOOTHING_REACH, rest.shape[1]), np.float32)
    padded[SMOOTHING_REACH:-SMOOTHING_REACH] = rest
    padded[:SMOOTHING_REACH] = rest[0]
    padded[-SMOOTHING_REACH:] = rest[-1]
    smooth = rest * _KERNEL[0]
    for reach in range(1, SMOOTHING_REACH + 1):
        first, last = SMOOTHING_REACH - reach, SMOOTHING_REACH + reach
        sides = padded[first : first + POINTS] + padded[last : last + POINTS]
        sides *= _KERNEL[reach]
        smooth += sides
    return smooth


def _largest_means(squares: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logs of the largest means of neighbours in (60, n): of the whole beat and of the ventricular complex, (n,)."""
    two = squares[:-1] + squares[1:]
    four = two[:-2] + two[2:]
    eight = four[:-4] + four[4:]
    ten = eight[:-2] + two[QRS_RUN:]
    whole = np.maximum.reduce(ten, axis=0) * np.float32(1 / WHOLE_RUN)
    qrs = np.maximum.reduce(eight[QRS.start : QRS.stop - QRS_RUN + 1], axis=0) * np.float32(1 / QRS_RUN)
    return np.log(whole + TINY), np.log(qrs + TINY)


def _correlation(points: NDArray[np.float32], model: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of beats (60, n) and templates, (60, n) or (60, 1), over the ventricular complex."""
    beat = points[QRS] - column_sums(points[QRS]) * np.float32(1 / (QRS.stop - QRS.start))
    typical = model[QRS] - column_sums(model[QRS]) * np.float32(1 / (QRS.stop - QRS.start))
    both = column_sums(beat * typical)
    squares = column_sums(beat * beat) * column_sums(typical * typical)
    correlation: NDArray[np.float32] = both / np.sqrt(squares + TINY * TINY)
    return correlation


def high_frequency(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log of the mean size of second differences outside the ventricular complex, of beats (n, 140)."""
    signal = turned(samples, len(samples))
    steps = signal[1:] - signal[:-1]
    bends = steps[1:] - steps[:-1]
    np.abs(bends, out=bends)
    before, after = bends[: BEFORE_QRS.stop - 2], bends[AFTER_QRS.start :]
    total = column_sums(before) + column_sums(after)
    total *= np.float32(1 / (len(before) + len(after)))
    noise: NDArray[np.float32] = np.log(total + TINY)[: len(samples)]
    return noise
