"""Each beat is scored by a detector that was not fitted on it, nor on its patient."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data.datasets import DatasetPart
from trainer.fitting import cross_fitting


def part_of(beats, patients=None):
    """Beats whose samples are their number; the last three are abnormal."""
    samples = np.repeat(np.arange(beats, dtype=np.float32)[:, None], 140, axis=1)
    return DatasetPart(samples, np.arange(beats) >= beats - 3, patients=patients)


def seen(beats):
    """A detector that gives 1 to beats that it was fitted on."""
    return lambda others: np.isin(others[:, 0], beats[:, 0]).astype(np.float32)


def test_every_beat_is_scored_by_a_detector_that_never_saw_it():
    assert cross_fitting.cross_fit(part_of(53), seen, seed=0).tolist() == [0] * 53


def test_cross_fitted_scores_stand_in_the_order_of_their_beats():
    found = cross_fitting.cross_fit(part_of(53), lambda _: lambda others: others[:, 7], seed=0)
    assert found.tolist() == list(range(53))


@pytest.mark.parametrize("people", [2, 5, 13])
def test_every_beat_is_scored_by_a_detector_that_saw_no_beat_of_its_patient(people):
    patients = np.array([f"p{number % people}" for number in range(53)])

    def fit(beats):
        known = set(patients[beats[:, 0].astype(int)])
        return lambda others: np.array([patients[int(beat[0])] in known for beat in others], np.float32)

    assert cross_fitting.cross_fit(part_of(53, patients), fit, seed=0).tolist() == [0] * 53


def test_no_detector_is_fitted_on_abnormal_beats():
    def fit(beats):
        assert beats.max() < 50
        return lambda others: others[:, 0]

    cross_fitting.cross_fit(part_of(53), fit, seed=0)
    cross_fitting.cross_fit(part_of(53, np.repeat(["a", "b"], [20, 33])), fit, seed=0)
