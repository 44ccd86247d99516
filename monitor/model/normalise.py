"""The normalised waveform of a beat, and whether the beat can be scored at all: neither flat nor clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

FLAT_SD = 5e-7  # standard deviation as a share of the largest |sample|: some four steps of float32
CLIPPED_SAMPLES = 28  # in a row at the beat's maximum or minimum: 20 % of the beat
_STRIDE = CLIPPED_SAMPLES // 2


class Shapes(NamedTuple):
    """Normalised beats, and the numbers that normalised them."""

    pooled: Tensor  # (n, m)
    mean: Tensor  # (n, 1), in units of the beat's range
    sd: Tensor  # (n, 1), in units of the beat's range
    flat: Tensor  # (n,), whether the beat is a flat line
    high: Tensor  # (n, 1), the beat's maximum in its own unit
    low: Tensor  # (n, 1), the beat's minimum


def normalise(beats: Tensor, pool: int) -> Shapes:
    """Average each `pool` (1 or 2) adjacent samples of beats (n, 140), then scale to mean 0 and standard deviation 1.

    The middle of a beat's range is subtracted before samples are added up. That subtraction is nearly exact, so a large
    offset or a tiny unit costs no precision.
    """
    high, low = beats.amax(1, keepdim=True), beats.amin(1, keepdim=True)
    centred, extent = centre(beats, high, low), high - low
    if pool > 1:  # two strided reads are eight times as fast as a mean over the last axis
        centred = (centred[:, ::2] + centred[:, 1::2]) / 2
    pooled = centred / extent
    mean = pooled.mean(1, keepdim=True)
    pooled -= mean
    sd = pooled.square().mean(1, keepdim=True).sqrt()
    flat = ~(sd * extent > FLAT_SD * high.maximum(-low))[:, 0]
    return Shapes(pooled / sd, mean, sd, flat, high, low)


def centre(beats: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """Beats (n, 140) minus the middle of their range; `high` and `low` (n, 1) are its ends."""
    return beats - (high / 2 + low / 2)


def may_be_clipped(beats: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """Which beats (n,) `clipped_rows` must look at; a cheap test that never misses one.

    Of every 14th sample, two neighbours are equal to the maximum (or minimum): a run of 28 samples contains such two.
    """
    grid = beats[:, ::_STRIDE]
    return _pair(grid == high) | _pair(grid == low)


def clipped_rows(beats: Tensor) -> Tensor:
    """Which beats (n,) have CLIPPED_SAMPLES samples in a row equal to their maximum or to their minimum."""
    return _run(beats == beats.amax(1, keepdim=True)) | _run(beats == beats.amin(1, keepdim=True))


def _pair(at: Tensor) -> Tensor:
    """Which rows of (n, k) hold two true values next to each other."""
    return (at[:, 1:] & at[:, :-1]).any(1)


def _run(at: Tensor) -> Tensor:
    """Which rows of (k, 140) hold a run of CLIPPED_SAMPLES true values."""
    total = functional.pad(at.cumsum(1), (1, 0))
    return (total[:, CLIPPED_SAMPLES:] - total[:, :-CLIPPED_SAMPLES]).amax(1) == CLIPPED_SAMPLES
