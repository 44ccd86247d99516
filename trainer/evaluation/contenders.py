"""The contenders: two simple detectors that are measured beside the autoencoder, on the same beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from monitor.model import normalise
from trainer.fitting import cross_fitting
from trainer.threshold import people
from trainer.threshold.rule import ThresholdRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from trainer.data.datasets import DatasetPart
    from trainer.threshold.conformal import Budget

    Scoring = Callable[[NDArray[np.float32]], NDArray[np.float32]]

COMPONENTS = 4
AUTOENCODER = "autoencoder"


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector: its name, the function that scores beats (n, 140), and the score above which it flags a beat."""

    name: str
    score: Scoring
    threshold: float
    held_out: NDArray[np.float32] | None = None  # scores of the training part's beats, by detectors fitted without them


def simple(train: DatasetPart, budget: Budget) -> Iterator[Contender]:
    """PCA and the nearest neighbour, fitted on normal beats, each with a threshold by the budget."""
    for name, fit in ((f"PCA-{COMPONENTS}", pca), ("1-NN", nearest)):
        scores = cross_fitting.cross_fit(train, fit, seed=0)
        threshold = people.chosen(ThresholdRule(budget=budget), scores, train.abnormal, train.patients)
        yield Contender(name, fit(train.normal_samples), threshold.value, scores)


def pca(normals: NDArray[np.float32]) -> Scoring:
    """The score is the mean squared residual after projection onto the principal components of normal beats."""
    fitted = PCA(COMPONENTS, svd_solver="full").fit(_shapes(normals))

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        shapes = _shapes(samples)
        projected = fitted.inverse_transform(fitted.transform(shapes))
        return np.asarray(np.square(shapes - projected).mean(axis=1), np.float32)

    return score


def nearest(normals: NDArray[np.float32]) -> Scoring:
    """The score is the Euclidean distance to the nearest normal beat."""
    fitted = NearestNeighbors(n_neighbors=1).fit(_shapes(normals))

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(fitted.kneighbors(_shapes(samples))[0][:, 0], np.float32)

    return score


def _shapes(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Beats (n, 140), each normalised to mean 0 and standard deviation 1."""
    return normalise.shapes(samples, pool=1)
