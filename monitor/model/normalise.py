"""What a beat's waveform says before any network sees it: its normalised shape, and whether it can be scored at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

FLAT_SD = 5e-7  # of the largest |sample|: some four steps of float32
CLIPPED_SAMPLES = 28  # 20 % of the beat in a row at its very top or bottom
_STRIDE = CLIPPED_SAMPLES // 2


class Shapes(NamedTuple):
    """Normalised beats (n, m), and what was done to them."""

    pooled: Tensor
    mean: Tensor  # (n, 1), as sd in units of the beat's range
    sd: Tensor  # (n, 1)
    flat: Tensor  # (n,)
    high: Tensor  # (n, 1), as low in units of the beat
    low: Tensor  # (n, 1)


def normalise(beats: Tensor, pool: int) -> Shapes:
    """Means of `pool` adjacent samples of beats (n, 140), each beat to mean 0 and sd 1.

    The middle is taken away before anything is added up: that is exact where it matters, so a large offset or a tiny
    unit costs no precision.
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
    return beats - (high / 2 + low / 2)


def may_be_clipped(beats: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """Which beats (n,) are worth a search: a run of CLIPPED_SAMPLES covers two neighbours of any grid of half of it."""
    grid = beats[:, ::_STRIDE]
    return _pair(grid == high) | _pair(grid == low)


def clipped_rows(beats: Tensor) -> Tensor:
    """Which beats (n,) stay at their very top or bottom for a run of CLIPPED_SAMPLES."""
    return _run(beats == beats.amax(1, keepdim=True)) | _run(beats == beats.amin(1, keepdim=True))


def _pair(at: Tensor) -> Tensor:
    return (at[:, 1:] & at[:, :-1]).any(1)


def _run(at: Tensor) -> Tensor:
    """Which rows of (k, 140) hold a run of CLIPPED_SAMPLES true values."""
    total = functional.pad(at.cumsum(1), (1, 0))
    return (total[:, CLIPPED_SAMPLES:] - total[:, :-CLIPPED_SAMPLES]).amax(1) == CLIPPED_SAMPLES
