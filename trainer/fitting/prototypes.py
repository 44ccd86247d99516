"""A few typical beats: the score also looks at how far a beat is from the nearest of them."""

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
    """The mean (m,) of each of `number` groups of normalised normal beats (n, m) that are alike once projected.

    In the order in which the first beat of each group comes. Of beats that make fewer groups some come twice.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different beats than groups
        group = KMeans(number, n_init=STARTS, random_state=seed).fit_predict(beats @ projection)
    _, firsts = np.unique(group, return_index=True)
    means = [beats[group == group[first]].mean(axis=0) for first in sorted(firsts)]
    return np.array([means[row % len(means)] for row in range(number)], np.float32)
