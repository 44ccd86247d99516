"""The prototypes are the typical beats of each group."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.model.network import NetworkConfig
from trainer.fitting import training
from trainer.fitting.prototypes import prototypes
from trainer.fitting.recipe import Recipe

QUICK = Recipe(NetworkConfig("stacked", (70, 16, 4)), epochs=6)


def test_typical_beats_are_the_means_of_those_that_are_alike(ecg5000):
    normals = ecg5000.train.normal_samples[:100]
    typical = training.detector(normals, QUICK).prototypes
    assert typical.shape == (4, 70)
    assert np.abs(typical.mean(axis=1)).max() < 1e-5
    assert len(np.unique(typical, axis=0)) == 4


def test_typical_beats_of_two_kinds_are_those_two():
    two = np.random.default_rng(0).normal(size=(2, 70))
    beats = two[[1, 0, 0, 1, 1, 0]]
    found = prototypes(beats, np.eye(70, dtype=np.float32), 2, seed=0)
    assert found == pytest.approx(two[::-1], rel=1e-6)


def test_of_fewer_kinds_than_typical_beats_some_come_twice():
    beats = np.repeat(np.random.default_rng(0).normal(size=(3, 70)), 5, axis=0)
    found = prototypes(beats, np.eye(70, dtype=np.float32), 4, seed=0)
    assert found == pytest.approx(beats[[0, 5, 10, 0]], rel=1e-6)
