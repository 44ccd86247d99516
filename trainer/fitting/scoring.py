"""Scores of beats, exactly as the monitor computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.model.manifest import Detector, ScoreConfig
from monitor.model.network import Network, NetworkConfig
from monitor.model.scorer import SCORED, Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORING_BATCH = 4096


def scores(detector: Detector, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (n,) of beats (n, 140). NaN for a beat that the monitor would not score."""
    return Scorer(detector, "cpu", SCORING_BATCH).score(samples).score


def scorable(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the beats (n, 140) the monitor would score: those that are neither flat nor saturated."""
    config = NetworkConfig("plain", (ScoreConfig().inputs, 1))  # whether a beat is scored does not depend on it
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.shapes.items()}
    any_detector = Detector(Network(config, weights), ScoreConfig(prototypes=0, projected=False))
    return np.equal(Scorer(any_detector, "cpu", SCORING_BATCH).score(samples).cause, SCORED)
