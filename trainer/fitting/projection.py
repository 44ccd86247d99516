"""The linear part of the score as one matrix: smooth the residual, take its trend away, weight its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SD_OF_MAD = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


@dataclass(frozen=True, slots=True)
class Shaping:
    """What the residual goes through. It plays down fast noise and baseline wander on purpose."""

    smooth_sd_samples: float = 1.5
    weight_numerator: float = 0.3
    weight_floor: float = 0.2


def projection(residuals: NDArray[np.float64], shaping: Shaping) -> NDArray[np.float32]:
    """The (m, m) matrix M of the score's r @ M, from residuals (n, m) of normal training beats.

    A sample that normal beats are often missed at counts for less than one that they are always met at.
    """
    size = residuals.shape[1]
    linear = _smoothing(size, shaping.smooth_sd_samples) @ _detrending(size)
    shaped = residuals @ linear
    spread = SD_OF_MAD * np.median(np.abs(shaped - np.median(shaped, axis=0)), axis=0)
    weights = shaping.weight_numerator / (spread + shaping.weight_floor)
    return np.ascontiguousarray(linear * weights, dtype=np.float32)


def _smoothing(size: int, sd_samples: float) -> NDArray[np.float64]:
    """Gaussian means of neighbours; at the ends of those that are there."""
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    bell = np.exp(-0.5 * (distance / sd_samples) ** 2)
    return np.asarray(bell / bell.sum(axis=0))


def _detrending(size: int) -> NDArray[np.float64]:
    """What is left when the least-squares line is taken away."""
    line = np.stack([np.ones(size), np.linspace(-1, 1, size)], axis=1)
    basis, _ = np.linalg.qr(line)
    return np.asarray(np.eye(size) - basis @ basis.T)
