"""The denoisers learn to take noise away, the same way each time, and stop when they are asked to."""

from __future__ import annotations

import itertools
import os
import signal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import RefusedError
from trainer import interrupt
from trainer.denoiser import fit as imagefit
from trainer.denoiser import score
from trainer.denoiser.fit import ImageRecipe
from trainer.denoiser.muon import orthogonal
from trainer.denoiser.network import NETWORKS, REACH, DenoiserConfig, apply, build, dead_filters
from trainer.denoiser.noise import Corruption, corruption

CPU = torch.device("cpu")
CONFIGS = [DenoiserConfig(network, channels) for network, channels in itertools.product(NETWORKS, (1, 3))]


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


@pytest.mark.parametrize("config", CONFIGS)
def test_a_network_gives_back_the_size_that_it_takes(config):
    noisy = torch.rand(2, config.channels, 28, 28)
    assert build(config)(noisy).shape == noisy.shape


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CONFIGS), st.integers(1, 21), st.integers(1, 21))
def test_pictures_of_any_size_come_back_in_that_size_and_range(config, height, width):
    clean = apply(build(config), torch.rand(1, config.channels, height, width))
    assert clean.shape == (1, config.channels, height, width)
    assert 0 <= clean.min() <= clean.max() <= 1


def test_the_classic_network_has_3217_weights():
    assert sum(weight.numel() for weight in build(DenoiserConfig("classic")).parameters()) == 3217


@pytest.mark.parametrize(("network", "channels"), [("unet", 1), ("best", 2)])
def test_networks_that_do_not_exist_are_refused(network, channels):
    with pytest.raises(RefusedError, match=r"is unknown|2 channels, where"):
        DenoiserConfig(network, channels)


def test_no_pixel_looks_further_than_a_tile_overlaps():
    noisy = torch.rand(1, 1, 96, 96, requires_grad=True)
    build(DenoiserConfig("best"))(noisy)[0, 0, 47, 47].backward()
    assert (noisy.grad[0, 0].nonzero() - 47).abs().max() <= REACH


def test_a_dead_filter_is_counted():
    network = build(DenoiserConfig("classic"))
    noisy = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.fill_(1.0 if name.endswith("bias") else 0.0)  # each filter gives 1, whatever comes in
    assert dead_filters(network, noisy) == 0
    with torch.no_grad():
        network[0].bias[:5] = -1.0
        network[6].bias[3] = 0.0
    assert dead_filters(network, noisy) == 6


@pytest.mark.parametrize(
    "text", ["gaussian", "gaussian:x", "salt:0.1", "gaussian:0", "dropout:1", "gaussian:nan", "gaussian:1e39", ""]
)
def test_noise_that_makes_no_sense_is_refused(text):
    with pytest.raises(RefusedError, match="noise"):
        corruption(text)


@settings(deadline=None)
@given(st.sampled_from(["gaussian:0.2", "gaussian:9", "dropout:0.3"]), st.integers(0, 99))
def test_noisy_pictures_stay_in_range_and_their_clean_ones_untouched(text, seed):
    clean = torch.full((1, 1, 8, 8), 0.5)
    noisy = corruption(text).spoil(clean, torch.Generator().manual_seed(seed))
    assert 0 <= noisy.min() <= noisy.max() <= 1
    assert clean.eq(0.5).all()


def test_dropout_sets_its_share_of_the_values_to_0_and_leaves_the_others():
    noisy = Corruption("dropout", 0.3).spoil(torch.ones(1, 3, 100, 100), torch.Generator().manual_seed(0))
    assert set(noisy.unique().tolist()) == {0.0, 1.0}
    assert noisy.mean().item() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("config", [DenoiserConfig("classic"), DenoiserConfig("best"), DenoiserConfig("best", 3)])
def test_learning_takes_noise_away_from_pictures_not_seen(config):
    epochs = 2 if config.network == "best" else 30
    validation = squares(40, 1, config.channels)
    recipe = ImageRecipe(config, Corruption("gaussian", 0.3), epochs)
    clean, noisy = imagefit.held_out(validation, recipe.corruption)
    fit = imagefit.fit(squares(400, 0, config.channels), validation, recipe, CPU)
    assert fit.curve[fit.best].validation < 0.7 * (noisy - clean).square().mean().item()


@pytest.mark.parametrize("network", NETWORKS)
def test_pictures_to_learn_from_may_have_odd_sides(network):
    made = squares(40)[..., :11, :9]
    fit = imagefit.fit(made, made[:5], ImageRecipe(DenoiserConfig(network), epochs=1), CPU)
    assert fit.curve[0].training > 0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    weights = [
        torch.cat(
            [weight.flatten() for weight in imagefit.fit(squares(64), squares(9, 1), recipe, CPU).network.parameters()]
        )
        for recipe in (ImageRecipe(epochs=2), ImageRecipe(epochs=2), ImageRecipe(epochs=2, seed=1))
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_precisions_learn_about_as_well_and_the_same_each_time(precision):
    recipe = ImageRecipe(epochs=2, precision=precision)
    clean, noisy = imagefit.held_out(squares(40, 1), recipe.corruption)
    fits = [imagefit.fit(squares(400), squares(40, 1), recipe, CPU) for _ in range(2)]
    assert fits[0].curve[-1].validation < 0.5 * (noisy - clean).square().mean().item()
    assert fits[0].curve[-1].validation == fits[1].curve[-1].validation


def test_the_classic_network_learns_in_float32_everywhere():
    assert imagefit.precision(DenoiserConfig("classic"), CPU) == "float32"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None)
def test_an_orthogonal_step_moves_every_direction_about_alike(rows, columns, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    left, found, right = torch.linalg.svd(matrix, full_matrices=False)
    strong = found > 0.05 * matrix.norm()
    moved = (left.T @ orthogonal(matrix) @ right.T).diagonal()
    assert moved[strong].min() > 0.5
    assert moved[strong].max() < 1.4


def test_noise_is_drawn_afresh_in_each_epoch_but_pictures_are_judged_by_the_same():
    recipe = ImageRecipe(corruption=Corruption("gaussian", 0.2))
    draw = torch.Generator().manual_seed(0)
    clean, noisy = imagefit.held_out(squares(3), recipe.corruption)
    assert torch.equal(noisy, imagefit.held_out(squares(3), recipe.corruption)[1])
    assert not torch.equal(recipe.corruption.spoil(clean, draw), recipe.corruption.spoil(clean, draw))


def test_ctrl_c_ends_the_training_with_the_best_weights_so_far():
    ticks = itertools.count()

    def interrupt_in_the_second_epoch(_loss):
        if next(ticks) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with interrupt.heeded() as stopped:
        recipe = ImageRecipe(epochs=50)
        fit = imagefit.fit(squares(64), squares(9, 1), recipe, CPU, interrupt_in_the_second_epoch, stopped.is_set)
    assert (fit.interrupted, len(fit.curve)) == (True, 2)
    clean, noisy = imagefit.held_out(squares(9, 1), Corruption())
    error = (imagefit.denoised(fit.network, noisy) - clean).square().mean().item()
    assert error == pytest.approx(min(epoch.validation for epoch in fit.curve))


class Wild(ImageRecipe):
    """Far too fast a learner."""

    learning_rate = 1e30


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(RefusedError, match="training failed: the validation error is nan"):
        imagefit.fit(squares(64), squares(9, 1), Wild(epochs=1), CPU)


def test_figures_are_those_of_the_textbook():
    clean = np.zeros((2, 1, 16, 16), np.float32)
    found = score.quality("off by a tenth", clean, clean + np.float32(0.1))
    assert (found.mse, found.psnr) == (pytest.approx(0.01), pytest.approx(20, abs=1e-4))
    assert score.quality("perfect", clean, clean).ssim == pytest.approx(1)


def test_the_median_mends_a_lost_pixel_and_tiny_pictures_have_figures():
    clean = np.ones((1, 3, 5, 5), np.float32)
    noisy = clean.copy()
    noisy[:, 1, 2, 2] = 0
    np.testing.assert_array_equal(score.median(noisy), clean)
    assert score.quality("noisy", clean, noisy).ssim < 1
