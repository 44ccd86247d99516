"""Labels the other way round, and two kinds of beats without labels, are remarked on; what is right is not."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.beats.window import R_CENTRED
from trainer.data import plausibility
from trainer.data.datasets import DatasetPart


def part(normals, abnormals):
    samples = np.concatenate([normals, abnormals]).astype(np.float32)
    return DatasetPart(samples, np.arange(len(samples)) >= len(normals))


@pytest.fixture
def kinds(ecg5000):
    """Normal and abnormal beats of ECG5000."""
    return ecg5000.test.normal_samples, ecg5000.test.samples[ecg5000.test.abnormal]


def test_labels_the_other_way_round_are_remarked_on(kinds):
    normals, abnormals = kinds
    assert "Are the labels the other way round?" in plausibility.doubt(part(abnormals, normals))
    assert plausibility.doubt(part(normals, abnormals)) == ""


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_abnormal_beats_among_beats_without_labels_are_remarked_on(kinds, share):
    normals, abnormals = kinds
    mixed = np.concatenate([normals, abnormals[: round(share * len(normals) / (1 - share))]])
    assert "the beats taken as normal fall into two groups" in plausibility.doubt(part(mixed, mixed[:0]))


@pytest.mark.parametrize("count", [0, 1, 30, 292, 2627])
def test_normal_beats_alone_raise_no_doubt(kinds, count):
    assert plausibility.doubt(part(kinds[0][:count], kinds[1][:0])) == ""


def test_beats_that_differ_by_noise_alone_are_one_group():
    bump = np.exp(-0.5 * ((np.arange(140) - 60) / 12) ** 2)
    noisy = bump + np.random.default_rng(0).normal(0, 0.02, (300, 140))
    assert plausibility.doubt(part(noisy, noisy[:0])) == ""


@pytest.mark.parametrize(("recall", "rate", "warnings"), [(0.9, 0.02, 0), (0.22, 0.02, 1), (1, 0.97, 1), (0.1, 0.9, 2)])
def test_few_beats_found_and_many_flagged_are_loud(capsys, recall, rate, warnings):
    plausibility.warn_of_recall(recall)
    plausibility.warn_of_misfit(rate, R_CENTRED)
    assert capsys.readouterr().err.count("warning: ") == warnings
