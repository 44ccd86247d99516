"""The quality of denoised pictures: MSE, PSNR and SSIM. A median filter serves for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter
from skimage.metrics import structural_similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MEDIAN_SIDE = 3
SSIM_SIGMA = 1.5  # goes with a window of 11 pixels; smaller pictures get the largest plain window that fits
SSIM_SIDE = 11


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of one method: means over pictures of MSE (values in [0, 1]), PSNR (dB) and SSIM."""

    method: str
    mse: float
    psnr: float
    ssim: float


def quality(method: str, clean: NDArray[np.float32], found: NDArray[np.float32]) -> Quality:
    """The quality of denoised pictures `found` (n, c, h, w), compared with the clean ones."""
    errors = np.square(clean.astype(np.float64) - found).mean(axis=(1, 2, 3))
    psnr = -10 * np.log10(np.maximum(errors, 1e-10))
    ssim = np.mean([_ssim(left, right) for left, right in zip(clean, found, strict=True)])
    return Quality(method, float(errors.mean()), float(psnr.mean()), float(ssim))


def median(noisy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (n, c, h, w) after a 3 x 3 median filter on each channel."""
    filtered: NDArray[np.float32] = median_filter(noisy, size=(1, 1, MEDIAN_SIDE, MEDIAN_SIDE), mode="nearest")
    return filtered


def table(rows: Sequence[Quality]) -> str:
    """The figures of all methods as a table for the terminal."""
    width = max(len(row.method) for row in rows)
    lines = [f"{'':{width}}      MSE   PSNR dB    SSIM"]
    lines += [f"{row.method:{width}}  {row.mse:.5f}  {row.psnr:8.2f}  {row.ssim:6.4f}" for row in rows]
    return "\n".join(lines)


def _ssim(clean: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    smallest = min(clean.shape[1:])
    window = {"win_size": smallest - 1 + smallest % 2} if smallest < SSIM_SIDE else {}
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]  # scikit-image leaves it without types
            clean, found, data_range=1.0, channel_axis=0, gaussian_weights=not window, sigma=SSIM_SIGMA,
            use_sample_covariance=False, **window,
        )
    )  # fmt: skip
