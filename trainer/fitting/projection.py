"""The linear part of the score as one matrix: smooth the residual, remove its trend, and weight its samples.

The residual is the difference between a normalised beat and its reconstruction by the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SD_OF_MAD = 1.4826  # standard deviation of a normal distribution, divided by its median absolute deviation


@dataclass(frozen=True, slots=True)
class Shaping:
    """Parameters of the projection. It is meant to suppress fast noise and baseline wander."""

    smooth_sd_samples: float = 1.5
    weight_numerator: float = 0.3
    weight_floor: float = 0.2


def projection(residuals: NDArray[np.float64], shaping: Shaping) -> NDArray[np.float32]:
    """The (m, m) matrix M of the score's r @ M, from residuals (n, m) of normal training beats.

    A sample at which the residuals of normal beats vary much gets a smaller weight than one at which they vary little.
    """
    size = residuals.shape[1]
    linear = _smoothing(size, shaping.smooth_sd_samples) @ _detrending(size)
    shaped = residuals @ linear
    spread = SD_OF_MAD * np.median(np.abs(shaped - np.median(shaped, axis=0)), axis=0)
    weights = shaping.weight_numerator / (spread + shaping.weight_floor)
    return np.ascontiguousarray(linear * weights, dtype=np.float32)


def _smoothing(size: int, sd_samples: float) -> NDArray[np.float64]:
    """The (m, m) matrix of a Gaussian moving average. At the ends it averages over the samples that exist."""
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    bell = np.exp(-0.5 * (distance / sd_samples) ** 2)
    return np.asarray(bell / bell.sum(axis=0))


def _detrending(size: int) -> NDArray[np.float64]:
    """The (m, m) matrix that subtracts the least-squares straight line."""
    line = np.stack([np.ones(size), np.linspace(-1, 1, size)], axis=1)
    basis, _ = np.linalg.qr(line)
    return np.asarray(np.eye(size) - basis @ basis.T)
