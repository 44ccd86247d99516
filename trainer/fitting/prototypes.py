"""Prototypes: a few typical normal beats. The score also measures how far a beat is from the nearest of them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray

STARTS = 10


def prototypes(
    beats: NDArray[np.float64], projection: NDArray[np.float32], number: int, seed: int
) -> NDArray[np.float32]:
    """Prototypes (number, m) of normalised normal beats (n, m): the mean of each of `number` groups of similar beats.

    The groups are found by k-means on the projected beats, and stand in the order of their first beats. If the beats
    form fewer groups, some prototypes are repeated.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # there may be fewer different beats than groups
        group = KMeans(number, n_init=STARTS, random_state=seed).fit_predict(beats @ projection)
    _, firsts = np.unique(group, return_index=True)
    means = [beats[group == group[first]].mean(axis=0) for first in sorted(firsts)]
    return np.array([means[row % len(means)] for row in range(number)], np.float32)
