"""The evaluation of a new model beside the simple detectors."""

from __future__ import annotations

import pytest

from trainer.evaluation import evaluation
from trainer.threshold.conformal import Budget


def test_the_simple_detectors_reach_what_is_known_of_them(ecg5000):
    found = evaluation.evaluate("official", lambda samples: samples[:, 0], 1.0, ecg5000.train, ecg5000.test, Budget())
    rows = {row.detector: row for row in found.rows}
    assert list(rows) == ["autoencoder", "PCA-4", "1-NN"]
    assert rows["PCA-4"].auc == pytest.approx(0.9860, abs=5e-4)
    assert rows["1-NN"].auc == pytest.approx(0.9932, abs=5e-4)
    assert (found.normals, found.abnormals) == (2627, 1873)
