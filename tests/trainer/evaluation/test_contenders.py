"""The simple detectors beside ours."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluation import contenders


@pytest.mark.parametrize("fit", [contenders.pca, contenders.nearest])
def test_a_simple_detector_knows_the_beats_it_was_fitted_on(ecg5000, fit):
    normals = ecg5000.train.normal_samples
    score = fit(normals)
    assert np.median(score(ecg5000.train.samples[ecg5000.train.abnormal])) > 3 * np.median(score(normals))
