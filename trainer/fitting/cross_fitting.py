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
    from trainer.data.datasets import DatasetPart
    from trainer.fitting.recipe import Recipe

    Scores = NDArray[np.float32]
    Scoring = Callable[[NDArray[np.float32]], Scores]

FOLDS = 10
NO_FOLD = -1


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained detector, and what its training gave besides."""

    detector: Detector
    scores: NDArray[np.float32]  # (n,) of all beats of the training part, each by a network that did not see it
    calibration: NDArray[np.float32]  # the normal ones of these scores, ascending
    losses: tuple[float, ...]  # mean loss of each epoch
    interrupted: bool = False


def fitted(part: DatasetPart, recipe: Recipe, device: str, stopped: Callable[[], bool] = lambda: False) -> Fitted:
    """A detector trained on the normal beats of a part, with its calibration scores. Shows its progress.

    The networks of the folds are trained side by side with the detector's own network. So all of them have had the
    same number of epochs if `stopped` returns True and ends the training early.
    """
    normals, fold = np.flatnonzero(~part.abnormal), folds(part, recipe.seed)
    epochs, losses = recipe.epochs_for(len(normals)), list[float]()
    selections = [np.flatnonzero(fold[normals] != number) for number in range(FOLDS) if (fold == number).any()]
    with progress.phase("training", epochs, "epoch") as tick:

        def after_epoch(loss: float) -> bool:
            losses.append(loss)
            tick(f"loss {loss:.4f}")
            return stopped()

        detector, *of_folds = training.detectors(
            part.samples[normals], [np.arange(len(normals)), *selections], recipe, device, after_epoch
        )
    interrupted = len(losses) < epochs
    if interrupted:
        click.echo(f"training stopped after {len(losses):,} of {epochs:,} epochs; press Ctrl-C again to write nothing")
    with progress.phase("calibration"):
        scores = held_out(
            part.samples, fold, partial(scoring.scores, detector), [partial(scoring.scores, each) for each in of_folds]
        )
    return Fitted(detector, scores, conformal.calibration(scores[normals]), tuple(losses), interrupted)


def cross_fit(part: DatasetPart, fit: Callable[[NDArray[np.float32]], Scoring], seed: int) -> Scores:
    """The score (n,) of each beat of a part by a detector that was fitted without this beat.

    `fit` takes normal beats (k, 140) and returns a function that scores other beats.
    """
    fold = folds(part, seed)
    of_folds = [
        fit(part.samples[~part.abnormal & (fold != number)]) for number in range(FOLDS) if (fold == number).any()
    ]
    return held_out(part.samples, fold, fit(part.normal_samples), of_folds)


def folds(part: DatasetPart, seed: int) -> NDArray[np.int64]:
    """The fold (n,) of each beat of a part, 0 to FOLDS - 1.

    Where patients are known, all beats of a patient are in one fold. Otherwise abnormal beats have NO_FOLD, because no
    network learns from them anyway.
    """
    draw = np.random.default_rng(seed)
    if part.patients is not None:
        names, patient = np.unique(part.patients, return_inverse=True)
        return np.asarray((draw.permutation(len(names)) % FOLDS)[patient])
    fold = np.full(len(part), NO_FOLD)
    normals = np.flatnonzero(~part.abnormal)
    fold[normals] = draw.permutation(len(normals)) % FOLDS
    return fold


def held_out(samples: NDArray[np.float32], fold: NDArray[np.int64], whole: Scoring, fitted: list[Scoring]) -> Scores:
    """The score (n,) of each beat by the one detector that did not learn from its fold; by `whole` without a fold."""
    scores = np.empty(len(samples), np.float32)
    numbers = [number for number in range(FOLDS) if (fold == number).any()]
    for number, score in zip([*numbers, NO_FOLD], [*fitted, whole], strict=True):
        rows = np.flatnonzero(fold == number)
        if len(rows):
            scores[rows] = score(samples[rows])
    return scores
