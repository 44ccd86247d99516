"""Each beat is scored by a detector that was not fitted on it."""

from __future__ import annotations

import numpy as np

from trainer.fitting import cross_fitting


def test_every_beat_is_scored_by_a_detector_that_never_saw_it():
    samples = np.repeat(np.arange(53, dtype=np.float32)[:, None], 140, axis=1)

    def fit(seen):
        return lambda others: np.isin(others[:, 0], seen[:, 0]).astype(np.float32)

    assert cross_fitting.cross_fit(samples, fit, seed=0).tolist() == [0] * 53


def test_cross_fitted_scores_stand_in_the_order_of_their_beats():
    samples = np.repeat(np.arange(53, dtype=np.float32)[:, None], 140, axis=1)
    assert cross_fitting.cross_fit(samples, lambda _: lambda others: others[:, 7], seed=0).tolist() == list(range(53))
