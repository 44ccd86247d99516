"""The figures of denoised pictures."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.denoiser import score


def test_figures_are_those_of_the_textbook():
    clean = np.zeros((2, 1, 16, 16), np.float32)
    found = score.quality("off by a tenth", clean, clean + np.float32(0.1))
    assert (found.mse, found.psnr) == (pytest.approx(0.01), pytest.approx(20, abs=1e-4))
    assert score.quality("perfect", clean, clean).ssim == pytest.approx(1)


def test_the_median_replaces_a_lost_pixel_and_tiny_pictures_have_figures():
    clean = np.ones((1, 3, 5, 5), np.float32)
    noisy = clean.copy()
    noisy[:, 1, 2, 2] = 0
    np.testing.assert_array_equal(score.median(noisy), clean)
    assert score.quality("noisy", clean, noisy).ssim < 1
