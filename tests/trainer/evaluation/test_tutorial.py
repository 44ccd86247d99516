"""TensorFlow's tutorial gives the figures that it states."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data import split
from trainer.evaluation import tutorial


def test_the_tutorial_is_reproduced_by_its_own_settings(tensorflow_data):
    train, test = split.split("tensorflow", tensorflow_data, 0)
    found = []
    for seed in range(5):
        score, threshold = tutorial.fit(train, seed)
        called_normal = score(test.samples) < threshold
        right = (called_normal & ~test.abnormal).sum()
        found.append(
            ((called_normal != test.abnormal).mean(), right / called_normal.sum(), right / (~test.abnormal).sum())
        )
    assert np.mean(found, axis=0) == pytest.approx([0.94, 0.99, 0.90], abs=0.02)
