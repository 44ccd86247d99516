"""The normalised waveform of a beat, and whether the beat can be scored at all: neither flat nor clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.beats.beat import SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

FLAT_SD = 5e-7  # standard deviation as a share of the largest |sample|: some four steps of float32
CLIPPED_SAMPLES = 28  # in a row at the beat's maximum or minimum: 20 % of the beat
GRID_SAMPLES = CLIPPED_SAMPLES // 2


class Shapes(NamedTuple):
    """Normalised beats, a beat in each column, and the numbers that normalised them."""

    pooled: Floats  # (m, n)
    mean: Floats  # (n,), in units of the beat's range
    sd: Floats  # (n,), in units of the beat's range
    flat: NDArray[np.bool_]  # (n,), whether the beat is a flat line
    high: Floats  # (n,), the beat's maximum in its own unit
    low: Floats  # (n,), the beat's minimum


def shapes(beats: Floats, pool: int) -> Floats:
    """Beats (n, 140) → each averaged over `pool` adjacent samples and normalised (n, m); NaN for a flat one."""
    inputs = SAMPLES // pool
    found = np.empty((inputs, len(beats)), np.float32)
    with np.errstate(all="ignore"):
        normalise(beats, pool, np.empty((SAMPLES, len(beats)), np.float32), found)
    return np.ascontiguousarray(found.T)


def normalise(beats: Floats, pool: int, columns: Floats, pooled: Floats) -> Shapes:
    """Average each `pool` (1 or 2) adjacent samples of beats (n, 140), then scale to mean 0 and standard deviation 1.

    The middle of a beat's range is subtracted before samples are added up. That subtraction is nearly exact, so a large
    offset or a tiny unit costs no precision. `columns` (140, n) is filled with the beats minus that middle, `pooled`
    (m, n) with the result. A beat in each column is quicker than one in each row: NumPy then works along memory.
    """
    np.copyto(columns, beats.T)
    high, low = np.maximum.reduce(columns, axis=0), np.minimum.reduce(columns, axis=0)
    extent = high - low
    np.subtract(columns, middle(high, low), out=columns)
    if pool > 1:
        np.add(columns[::2], columns[1::2], out=pooled)
        np.divide(pooled, 2 * extent, out=pooled)
    else:
        np.divide(columns, extent, out=pooled)
    share = np.full(len(pooled), 1 / len(pooled), np.float32)
    mean: Floats = np.matmul(share, pooled)
    np.subtract(pooled, mean, out=pooled)
    sd: Floats = np.sqrt(np.einsum("ij,ij->j", pooled, pooled) / np.float32(len(pooled)))
    np.divide(pooled, sd, out=pooled)
    flat = ~(sd * extent > FLAT_SD * np.maximum(high, -low))
    return Shapes(pooled, mean, sd, flat, high, low)


def middle(high: Floats, low: Floats) -> Floats:
    """The middle (n,) of each beat's range; half of each end, since their sum may be beyond float32."""
    return np.asarray(high / 2 + low / 2)


def may_be_clipped(beats: Floats, high: Floats, low: Floats) -> NDArray[np.bool_]:
    """Which beats (n,) `clipped_rows` must look at; a cheap test that never misses one.

    Of every 14th sample, two neighbours are equal to the maximum (or minimum): a run of 28 samples contains such two.
    """
    grid = np.ascontiguousarray(beats[:, ::GRID_SAMPLES].T)
    at_edge = (grid == high) | (grid == low)
    found: NDArray[np.bool_] = np.logical_or.reduce(at_edge[1:] & at_edge[:-1], axis=0)
    return found


def clipped_rows(beats: Floats) -> NDArray[np.bool_]:
    """Which beats (n,) have CLIPPED_SAMPLES samples in a row equal to their maximum or to their minimum."""
    high, low = beats.max(axis=1, keepdims=True), beats.min(axis=1, keepdims=True)
    return _has_run(beats == high) | _has_run(beats == low)


def _has_run(at: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows of (k, 140) hold a run of CLIPPED_SAMPLES true values: runs of 1, 2, 4, 8, 16, then of 28."""
    length = 1
    while length < CLIPPED_SAMPLES:
        step = min(length, CLIPPED_SAMPLES - length)
        at = at[:, step:] & at[:, :-step]
        length += step
    return np.asarray(at.any(axis=1))
