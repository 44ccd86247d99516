"""The projection suppresses what is not the shape of a beat."""

from __future__ import annotations

import numpy as np

from trainer.fitting.projection import Shaping, projection


def test_the_projection_is_blind_to_baseline_wander():
    matrix = projection(np.random.default_rng(0).normal(size=(50, 70)), Shaping())
    line = np.linspace(-3, 8, 70)
    bump = np.exp(-0.5 * ((np.arange(70) - 35) / 4) ** 2)
    assert np.abs(line @ matrix)[8:-8].max() < 0.05 * np.abs(bump @ matrix).max()


def test_the_projection_plays_down_noise_and_restless_samples():
    residuals = np.random.default_rng(0).normal(size=(500, 70)) * 0.1
    residuals[:, 20:30] *= 20
    matrix = projection(residuals, Shaping())
    alternating, slow = np.tile([1.0, -1.0], 35), np.sin(np.arange(70) / 5)
    assert np.square(alternating @ matrix).mean() < 0.01 * np.square(slow @ matrix).mean()
    assert np.linalg.norm(matrix[:, 25]) < 0.5 * np.linalg.norm(matrix[:, 50])
