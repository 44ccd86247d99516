"""Which beats get a score, and which score."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.fitting import scoring


def test_flat_beats_are_not_scorable(ecg5000):
    samples = ecg5000.train.samples[:3].copy()
    samples[1] = 7
    assert scoring.scorable(samples).tolist() == [True, False, True]


def test_a_trained_model_still_scores_its_golden_beats(quick_model):
    golden = quick_model[1].manifest.golden
    assert scoring.scores(quick_model[1], np.array(golden.samples, np.float32)) == pytest.approx(
        np.array(golden.scores)
    )
