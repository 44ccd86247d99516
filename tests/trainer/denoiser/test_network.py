"""The denoisers learn to take noise away, the same way each time, and stop when they are asked to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import RefusedError
from trainer.denoiser.network import NETWORKS, REACH, DenoiserConfig, apply, build, dead_filters

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
    with pytest.raises(RefusedError, match=r"is unknown|2 channels are not possible"):
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
