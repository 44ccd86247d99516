"""Training learns the shape of normal beats, the same way each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monitor.errors import RefusedError
from monitor.model import network
from monitor.model.network import NetworkConfig
from trainer.fitting import recipe, train
from trainer.fitting.projection import Shaping, projection
from trainer.fitting.prototypes import prototypes
from trainer.fitting.recipe import Recipe

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


def test_each_epoch_ticks_once(ecg5000):
    ticks = []
    train.detector(ecg5000.train.normal_samples[:40], QUICK, tick=ticks.append)
    assert len(ticks) == 6
    assert ticks[-1] < ticks[0], "it hears the loss"


def test_whoever_listens_may_end_the_training_of_all_parts(ecg5000):
    beats, heard = ecg5000.train.normal_samples[:60], []
    parts = [np.arange(60), np.arange(45)]
    stopped = train.detectors(beats, parts, QUICK, "cpu", lambda loss: heard.append(loss) or len(heard) == 3)
    assert len(heard) == 3
    assert len(stopped) == 2
    assert stopped[0].identity(QUICK.network) != train.detectors(beats, parts, QUICK, "cpu")[0].identity(QUICK.network)


@pytest.mark.parametrize(("beats", "steps"), [(30, 6000), (292, 6000), (5000, 6000), (500_000, 31_250)])
def test_epochs_follow_from_the_number_of_beats(beats, steps):
    made = Recipe().epochs_for(beats) * Recipe().batches(beats)
    assert steps <= made < steps + Recipe().batches(beats)


def test_parts_that_learn_side_by_side_learn_nothing_from_each_other(ecg5000):
    beats = ecg5000.train.normal_samples[:64].copy()
    parts = [np.arange(32), np.arange(32, 64)]
    before = train.detectors(beats, parts, QUICK, "cpu")
    beats[32:] = beats[32:, ::-1]
    after = train.detectors(beats, parts, QUICK, "cpu")
    same = [
        one.identity(QUICK.network) == other.identity(QUICK.network) for one, other in zip(before, after, strict=True)
    ]
    assert same == [True, False]


@pytest.mark.parametrize("name", ["plain", "stacked", "conv"])
@pytest.mark.parametrize("noise", ["none", "gaussian:0.2", "dropout:0.3"])
def test_every_network_learns_from_every_noise(ecg5000, name, noise):
    wanted = recipe.chosen(name, noise, epochs=8, seed=0)
    beats, losses = ecg5000.train.normal_samples[:96], []
    fitted = train.detector(beats, wanted, tick=losses.append)
    assert losses[-1] < 0.9 * losses[0]
    assert {n: a.shape for n, a in network.weights(fitted.network).items()} == wanted.network.shapes


@pytest.mark.parametrize("noise", ["gaussian", "gaussian:x", "gaussian:-1", "gaussian:nan", "dropout:1", "salt:1", ""])
def test_a_noise_that_makes_no_sense_is_refused(noise):
    with pytest.raises(RefusedError, match=r"where none, gaussian:S"):
        recipe.chosen("stacked", noise, epochs=None, seed=0)


def test_of_many_beats_it_learns_in_larger_batches_and_freer():
    few, many = Recipe(seed=3).suited(292), Recipe(seed=3).suited(2335)
    assert few == Recipe(seed=3)
    assert (many.batch, many.weight_decay, many.seed) == (64, 0.1, 3)


def test_the_learning_rate_rises_then_falls():
    rates = [Recipe().rate(step, 1000) for step in range(1000)]
    assert rates.index(max(rates)) == pytest.approx(50, abs=1)
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)
    assert np.diff(rates[51:]).max() < 0


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(RefusedError, match="training failed: the loss is nan"):
        train.fit(torch.full((40, 70), torch.nan), [torch.arange(40)], QUICK)


def test_flat_beats_are_not_scorable(ecg5000):
    samples = ecg5000.train.samples[:3].copy()
    samples[1] = 7
    assert train.scorable(samples).tolist() == [True, False, True]


def test_the_projection_is_blind_to_baseline_wander():
    matrix = projection(np.random.default_rng(0).normal(size=(50, 70)), Shaping())
    line = np.linspace(-3, 8, 70)
    bump = np.exp(-0.5 * ((np.arange(70) - 35) / 4) ** 2)
    assert np.abs(line @ matrix)[8:-8].max() < 0.05 * np.abs(bump @ matrix).max()


def test_typical_beats_are_the_means_of_those_that_are_alike(ecg5000):
    normals = ecg5000.train.normal_samples[:100]
    typical = train.detector(normals, QUICK).prototypes
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


def test_the_projection_plays_down_noise_and_restless_samples():
    residuals = np.random.default_rng(0).normal(size=(500, 70)) * 0.1
    residuals[:, 20:30] *= 20
    matrix = projection(residuals, Shaping())
    alternating, slow = np.tile([1.0, -1.0], 35), np.sin(np.arange(70) / 5)
    assert np.square(alternating @ matrix).mean() < 0.01 * np.square(slow @ matrix).mean()
    assert np.linalg.norm(matrix[:, 25]) < 0.5 * np.linalg.norm(matrix[:, 50])
