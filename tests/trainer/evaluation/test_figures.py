"""Figures that can be checked by hand, and the two detectors that stand beside ours."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.model.manifest import Evaluation
from trainer.evaluation import evaluate
from trainer.threshold.calibrate import Budget

LABELS = np.array([False] * 4 + [True] * 4)


def figures(scores, threshold):
    return evaluate.figures("x", np.array(scores, np.float32), LABELS, threshold)


def test_a_perfect_detector_has_perfect_figures():
    found = figures([1, 2, 3, 4, 5, 6, 7, 8], 4)
    assert (found.auc, found.average_precision, found.tpr_at_1_percent_fpr) == (1, 1, 1)
    assert (found.accuracy, found.precision, found.recall, found.false_positive_rate) == (1, 1, 1, 0)


def test_figures_count_abnormal_as_positive():
    found = figures([1, 2, 3, 7, 5, 6, 2, 8], 4)
    assert (found.precision, found.recall, found.false_positive_rate) == (0.75, 0.75, 0.25)
    assert found.accuracy == 0.75
    assert found.auc == 11.5 / 16  # of 16 pairs four stand the wrong way round and one is a tie
    assert found.tpr_at_5_percent_fpr == 0.25


def test_a_detector_that_flags_nothing_has_no_precision():
    found = figures([1, 2, 3, 7, 5, 6, 2, 8], 9)
    assert found.precision is None
    assert found.recall == 0
    assert "-" in evaluate.table(Evaluation("s", 4, 4, (found,)))


@pytest.mark.parametrize("fit", [evaluate.pca, evaluate.nearest])
def test_a_simple_detector_knows_the_beats_it_was_fitted_on(ecg5000, fit):
    normals = ecg5000.train.normal_samples
    score = fit(normals)
    assert np.median(score(ecg5000.train.samples[ecg5000.train.abnormal])) > 3 * np.median(score(normals))


def test_the_simple_detectors_reach_what_is_known_of_them(ecg5000):
    found = evaluate.evaluate("official", lambda samples: samples[:, 0], 1.0, ecg5000.train, ecg5000.test, Budget())
    rows = {row.detector: row for row in found.rows}
    assert list(rows) == ["autoencoder", "PCA-4", "1-NN"]
    assert rows["PCA-4"].auc == pytest.approx(0.9860, abs=5e-4)
    assert rows["1-NN"].auc == pytest.approx(0.9932, abs=5e-4)
    assert (found.normals, found.abnormals) == (2627, 1873)
