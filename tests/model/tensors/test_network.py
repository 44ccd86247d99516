"""A network of torch has the shapes of its config, and comes back from its weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monitor.model.network import Network, NetworkConfig
from monitor.model.tensors.network import build, rebuild, stored


@pytest.mark.parametrize("samples", [70, 71, 140, 9, 1])
def test_a_convolutional_network_gives_as_many_samples_as_it_takes(samples):
    config = NetworkConfig("conv", (samples, 6, 4, 2))
    assert build(config)(torch.zeros(3, samples)).shape == (3, samples)


def test_the_output_of_members_is_their_mean():
    config = NetworkConfig("stacked", (70, 9, 4), members=3)
    together = build(config)
    one = NetworkConfig("stacked", (70, 9, 4))
    found = stored(config, together).weights
    alone = [rebuild(Network(one, {name: found[name][member] for name in found})) for member in range(3)]
    beats = torch.randn(5, 70)
    expected = torch.stack([each(beats) for each in alone]).mean(0)
    assert torch.allclose(together(beats), expected, atol=1e-5)


CONFIGS = [
    NetworkConfig("plain", (70, 9)),
    NetworkConfig("stacked", (70, 9, 4)),
    NetworkConfig("stacked", (70, 9, 4), members=3),
    NetworkConfig("conv", (70, 5, 3)),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_shapes_promised_are_the_shapes_built(config):
    assert {name: array.shape for name, array in stored(config, build(config)).weights.items()} == config.shapes


def test_every_layer_but_the_last_ends_in_a_relu():
    layers = list(build(NetworkConfig("stacked", (70, 9, 4))))
    assert [type(layer) for layer in layers] == [torch.nn.Linear, torch.nn.ReLU] * 3 + [torch.nn.Linear]


def test_glorot_weights_fill_their_bounds_and_biases_are_zero():
    config = NetworkConfig("stacked", (70, 32))
    weights = stored(config, build(config)).weights
    bound = np.sqrt(6 / (70 + 32))
    assert 0.95 * bound < np.abs(weights["0.weight"]).max() <= bound
    assert not weights["0.bias"].any()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_rebuilt_network_gives_what_the_first_one_gave(config):
    first = build(config)
    again = rebuild(stored(config, first))
    beats = torch.randn(5, 70)
    assert torch.equal(first(beats), again(beats))
    assert not any(weight.requires_grad for weight in again.parameters())
