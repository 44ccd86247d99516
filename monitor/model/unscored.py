"""In place of a scorer where there is no model: every beat is normal, unless it cannot be scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.model.batches import Explanation
from monitor.model.normalise import clipped_rows, shapes
from monitor.model.scorer import FLAT, SATURATED, SCORED, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


class UnscoredBeats:
    """Has the methods of a `Scorer` that the pipeline calls."""

    def score(self, samples: NDArray[np.float32]) -> Scores:
        """A score of 0 for each of n beats (n, 140); NaN for one that no model can score."""
        cause = np.full(len(samples), SCORED, np.int8)
        cause[clipped_rows(samples)] = SATURATED
        cause[np.isnan(shapes(samples, 1)).any(axis=1)] = FLAT
        return Scores(np.where(cause == SCORED, 0, np.nan).astype(np.float32), cause)

    def explain(self, samples: NDArray[np.float32]) -> Explanation:
        """Beats (n, 140) as they are normalised, as their own reconstructions."""
        normalised = shapes(samples, 1)
        return Explanation(normalised, normalised)
