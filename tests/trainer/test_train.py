"""Training learns the shape of normal beats, the same way each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monitor.errors import RefusedError
from monitor.network import NetworkConfig
from trainer import train
from trainer.projection import Shaping, projection
from trainer.train import Recipe

QUICK = Recipe(NetworkConfig("stacked", (70, 16, 4)), epochs=6)


def test_learning_lowers_the_error_on_beats_not_seen(ecg5000):
    normals = ecg5000.train.normal_samples
    errors = [
        np.median(train.scores(train.detector(normals[:200], Recipe(epochs=epochs)), normals[200:]))
        for epochs in (1, 30)
    ]
    assert errors[1] < errors[0] / 2


def test_abnormal_beats_score_higher_than_normal_ones(ecg5000):
    part = ecg5000.train
    detector = train.detector(part.normal_samples[:200], Recipe(epochs=30))
    abnormal = train.scores(detector, part.samples[part.abnormal])
    assert np.median(abnormal) > 5 * np.median(train.scores(detector, part.normal_samples[200:]))


def test_the_same_seed_learns_the_same_weights_and_another_others(ecg5000):
    beats = ecg5000.train.normal_samples[:64]
    ids = [
        train.detector(beats, Recipe(QUICK.network, epochs=1, seed=seed)).identity(QUICK.network) for seed in (3, 3, 4)
    ]
    assert ids[0] == ids[1] != ids[2]


def test_training_leaves_torchs_own_generator_alone(ecg5000):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train.detector(ecg5000.train.normal_samples[:32], QUICK)
    assert torch.equal(torch.rand(3), expected)


def test_each_epoch_ticks_once_with_its_loss(ecg5000):
    losses = []
    train.detector(ecg5000.train.normal_samples[:40], QUICK, tick=losses.append)
    assert len(losses) == 6
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("beats", "steps"), [(30, 1500), (292, 1500), (5000, 3000), (500_000, 15_625)])
def test_epochs_follow_from_the_number_of_beats(beats, steps):
    recipe = Recipe()
    made = recipe.epochs_for(beats) * recipe.batches(beats)
    assert steps <= made < steps + recipe.batches(beats)


def test_the_learning_rate_rises_then_falls():
    rates = [Recipe().rate(step, 1000) for step in range(1000)]
    assert rates.index(max(rates)) == pytest.approx(50, abs=1)
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)
    assert np.diff(rates[51:]).max() < 0


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(RefusedError, match="training failed: the loss is nan"):
        train.fit(torch.full((40, 70), torch.nan), QUICK)


def test_flat_beats_are_not_scorable(ecg5000):
    samples = ecg5000.train.samples[:3].copy()
    samples[1] = 7
    assert train.scorable(samples).tolist() == [True, False, True]


def test_the_projection_is_blind_to_baseline_wander():
    matrix = projection(np.random.default_rng(0).normal(size=(50, 70)), Shaping())
    line = np.linspace(-3, 8, 70)
    bump = np.exp(-0.5 * ((np.arange(70) - 35) / 4) ** 2)
    assert np.abs(line @ matrix)[8:-8].max() < 0.05 * np.abs(bump @ matrix).max()


def test_the_projection_plays_down_noise_and_restless_samples():
    residuals = np.random.default_rng(0).normal(size=(500, 70)) * 0.1
    residuals[:, 20:30] *= 20
    matrix = projection(residuals, Shaping())
    alternating, slow = np.tile([1.0, -1.0], 35), np.sin(np.arange(70) / 5)
    assert np.square(alternating @ matrix).mean() < 0.01 * np.square(slow @ matrix).mean()
    assert np.linalg.norm(matrix[:, 25]) < 0.5 * np.linalg.norm(matrix[:, 50])
