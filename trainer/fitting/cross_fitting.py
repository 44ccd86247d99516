"""Cross-fitting: the score of each training beat by a network that was not trained on it.

A network reconstructs the beats that it was trained on too well. Their scores are too small to choose a threshold by.
So the beats are divided into ten folds; for each fold a network is trained on the other nine and scores this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click
import numpy as np

from trainer import progress
from trainer.fitting import scoring, training
from trainer.threshold import conformal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitor.model.manifest import Detector
    from trainer.fitting.recipe import Recipe

    Scores = NDArray[np.float32]
    Scoring = Callable[[NDArray[np.float32]], Scores]

FOLDS = 10


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained detector, and what its training gave besides."""

    detector: Detector
    calibration: NDArray[np.float32]  # ascending scores of the training beats, each by a network that did not see it
    losses: tuple[float, ...]  # mean loss of each epoch
    interrupted: bool = False


def fitted(
    normals: NDArray[np.float32], recipe: Recipe, device: str, stopped: Callable[[], bool] = lambda: False
) -> Fitted:
    """A detector trained on normal beats (n, 140), with its calibration scores. Shows its progress.

    The networks of the folds are trained side by side with the detector's own network. So all of them have had the
    same number of epochs if `stopped` returns True and ends the training early.
    """
    epochs, losses = recipe.epochs_for(len(normals)), list[float]()
    folds = training_rows(len(normals), recipe.seed)
    with progress.phase("training", epochs, "epoch") as tick:

        def after_epoch(loss: float) -> bool:
            losses.append(loss)
            tick(f"loss {loss:.4f}")
            return stopped()

        detector, *of_folds = training.detectors(
            normals, [np.arange(len(normals)), *folds], recipe, device, after_epoch
        )
    interrupted = len(losses) < epochs
    if interrupted:
        click.echo(f"training stopped after {len(losses):,} of {epochs:,} epochs; press Ctrl-C again to write nothing")
    with progress.phase("calibration"):
        scores = held_out(normals, folds, [partial(scoring.scores, each) for each in of_folds])
    return Fitted(detector, conformal.calibration(scores), tuple(losses), interrupted)


def cross_fit(samples: NDArray[np.float32], fit: Callable[[NDArray[np.float32]], Scoring], seed: int) -> Scores:
    """The score (n,) of each beat (n, 140) by a detector that was fitted without this beat.

    `fit` takes beats (k, 140) and returns a function that scores other beats.
    """
    folds = training_rows(len(samples), seed)
    return held_out(samples, folds, [fit(samples[rows]) for rows in folds])


def training_rows(n: int, seed: int) -> list[NDArray[np.int64]]:
    """For each fold, the rows of n beats to train on. Each row is left out of exactly one fold."""
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    return [np.flatnonzero(fold != number) for number in range(FOLDS)]


def held_out(samples: NDArray[np.float32], folds: list[NDArray[np.int64]], fitted: list[Scoring]) -> Scores:
    """The score (n,) of each beat by the one detector that was not trained on it."""
    scores = np.empty(len(samples), np.float32)
    for rows, score in zip(folds, fitted, strict=True):
        left_out = np.setdiff1d(np.arange(len(samples)), rows)
        scores[left_out] = score(samples[left_out])
    return scores
