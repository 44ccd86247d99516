"""The denoisers learn to remove noise, the same way each time, and stop when they are asked to."""

from __future__ import annotations

import itertools
import os
import signal

import numpy as np
import pytest
import torch

from monitor.errors import RefusedError
from trainer import interrupt
from trainer.denoiser import training
from trainer.denoiser.network import NETWORKS, DenoiserConfig
from trainer.denoiser.noise import Corruption
from trainer.denoiser.training import ImageRecipe

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As the command has it: two fits at once fight for no core, and sums come out in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def squares(count, seed=0, channels=1):
    """Bright squares on black, (n, c, 12, 12)."""
    random = np.random.default_rng(seed)
    made = np.zeros((count, channels, 12, 12), np.uint8)
    for picture in made:
        top, left = random.integers(0, 7, 2)
        picture[:, top : top + 5, left : left + 5] = 220
    return made


@pytest.mark.parametrize("config", [DenoiserConfig("classic"), DenoiserConfig("best", 3)])
def test_learning_takes_noise_away_from_pictures_not_seen(config):
    epochs = 2 if config.network == "best" else 30
    validation = squares(40, 1, config.channels)
    recipe = ImageRecipe(config, Corruption("gaussian", 0.3), epochs)
    clean, noisy = training.held_out(validation, recipe.corruption)
    fit = training.fit(squares(400, 0, config.channels), validation, recipe, CPU)
    assert fit.curve[fit.best].validation < 0.7 * (noisy - clean).square().mean().item()


@pytest.mark.parametrize("network", NETWORKS)
def test_pictures_to_learn_from_may_have_odd_sides(network):
    made = squares(40)[..., :11, :9]
    fit = training.fit(made, made[:5], ImageRecipe(DenoiserConfig(network), epochs=1), CPU)
    assert fit.curve[0].training > 0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    weights = [
        torch.cat(
            [weight.flatten() for weight in training.fit(squares(64), squares(9, 1), recipe, CPU).network.parameters()]
        )
        for recipe in (ImageRecipe(epochs=2), ImageRecipe(epochs=2), ImageRecipe(epochs=2, seed=1))
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_precisions_learn_about_as_well_and_the_same_each_time(precision):
    recipe = ImageRecipe(epochs=2, precision=precision)
    clean, noisy = training.held_out(squares(40, 1), recipe.corruption)
    fits = [training.fit(squares(400), squares(40, 1), recipe, CPU) for _ in range(2)]
    assert fits[0].curve[-1].validation < 0.5 * (noisy - clean).square().mean().item()
    assert fits[0].curve[-1].validation == fits[1].curve[-1].validation


def test_the_classic_network_learns_in_float32_everywhere():
    assert training.precision(DenoiserConfig("classic"), CPU) == "float32"


def test_noise_is_drawn_afresh_in_each_epoch_but_pictures_are_judged_by_the_same():
    recipe = ImageRecipe(corruption=Corruption("gaussian", 0.2))
    draw = torch.Generator().manual_seed(0)
    clean, noisy = training.held_out(squares(3), recipe.corruption)
    assert torch.equal(noisy, training.held_out(squares(3), recipe.corruption)[1])
    assert not torch.equal(recipe.corruption.spoil(clean, draw), recipe.corruption.spoil(clean, draw))


def test_ctrl_c_ends_the_training_with_the_best_weights_so_far():
    ticks = itertools.count()

    def interrupt_in_the_second_epoch(_loss):
        if next(ticks) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with interrupt.first_ctrl_c() as stopped:
        recipe = ImageRecipe(epochs=50)
        fit = training.fit(squares(64), squares(9, 1), recipe, CPU, interrupt_in_the_second_epoch, stopped.is_set)
    assert (fit.interrupted, len(fit.curve)) == (True, 2)
    clean, noisy = training.held_out(squares(9, 1), Corruption())
    error = (training.denoised(fit.network, noisy) - clean).square().mean().item()
    assert error == pytest.approx(min(epoch.validation for epoch in fit.curve))


class Wild(ImageRecipe):
    """Far too fast a learner."""

    learning_rate = 1e30


def test_a_loss_that_is_nan_ends_the_training():
    with pytest.raises(RefusedError, match="training failed: the validation error is nan"):
        training.fit(squares(64), squares(9, 1), Wild(epochs=1), CPU)
