"""Training learns the shape of normal beats, the same way each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monitor.errors import RefusedError
from monitor.model.network import NetworkConfig
from trainer.fitting import recipe, scoring, training
from trainer.fitting.recipe import Recipe

QUICK = Recipe(NetworkConfig("stacked", (70, 16, 4)), epochs=6)


def test_learning_lowers_the_error_on_beats_not_seen(ecg5000):
    normals = ecg5000.train.normal_samples
    errors = [
        np.median(scoring.scores(training.detector(normals[:200], Recipe(epochs=epochs)), normals[200:]))
        for epochs in (1, 30)
    ]
    assert errors[1] < errors[0] / 2


def test_abnormal_beats_score_higher_than_normal_ones(ecg5000):
    part = ecg5000.train
    detector = training.detector(part.normal_samples[:200], Recipe(epochs=30))
    abnormal = scoring.scores(detector, part.samples[part.abnormal])
    assert np.median(abnormal) > 5 * np.median(scoring.scores(detector, part.normal_samples[200:]))


def test_the_same_seed_learns_the_same_weights_and_another_others(ecg5000):
    beats = ecg5000.train.normal_samples[:64]
    ids = [training.detector(beats, Recipe(QUICK.network, epochs=1, seed=seed)).identity() for seed in (3, 3, 4)]
    assert ids[0] == ids[1] != ids[2]


def test_training_leaves_torchs_own_generator_alone(ecg5000):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    training.detector(ecg5000.train.normal_samples[:32], QUICK)
    assert torch.equal(torch.rand(3), expected)


def test_each_epoch_ticks_once(ecg5000):
    ticks = []
    training.detector(ecg5000.train.normal_samples[:40], QUICK, tick=ticks.append)
    assert len(ticks) == 6
    assert ticks[-1] < ticks[0], "it hears the loss"


def test_a_tick_may_end_the_training_of_all_networks(ecg5000):
    beats, losses = ecg5000.train.normal_samples[:60], []
    parts = [np.arange(60), np.arange(45)]
    stopped = training.detectors(beats, parts, QUICK, "cpu", lambda loss: losses.append(loss) or len(losses) == 3)
    assert len(losses) == 3
    assert len(stopped) == 2
    assert stopped[0].identity() != training.detectors(beats, parts, QUICK, "cpu")[0].identity()


def test_networks_that_are_trained_together_learn_nothing_from_each_other(ecg5000):
    beats = ecg5000.train.normal_samples[:64].copy()
    parts = [np.arange(32), np.arange(32, 64)]
    before = training.detectors(beats, parts, QUICK, "cpu")
    beats[32:] = beats[32:, ::-1]
    after = training.detectors(beats, parts, QUICK, "cpu")
    same = [one.identity() == other.identity() for one, other in zip(before, after, strict=True)]
    assert same == [True, False]


@pytest.mark.parametrize("name", ["plain", "stacked", "conv"])
@pytest.mark.parametrize("noise", ["none", "gaussian:0.2", "dropout:0.3"])
def test_every_network_learns_from_every_noise(ecg5000, name, noise):
    wanted = recipe.chosen(name, noise, epochs=8, seed=0)
    beats, losses = ecg5000.train.normal_samples[:96], []
    fitted = training.detector(beats, wanted, tick=losses.append)
    assert losses[-1] < 0.9 * losses[0]
    assert {n: a.shape for n, a in fitted.network.weights.items()} == wanted.network.shapes


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(RefusedError, match="training failed: the loss is nan"):
        training.fit(torch.full((40, 70), torch.nan), [torch.arange(40)], QUICK)
