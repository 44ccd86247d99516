"""Networks are built from a config, and nonsense is refused before anything is allocated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monitor.errors import RefusedError
from monitor.model import network
from monitor.model.network import NetworkConfig


@pytest.mark.parametrize(
    ("kind", "widths", "message"),
    [
        ("transformer", (70, 8), "network kind 'transformer' is unknown"),
        ("stacked", (), "widths"),
        ("stacked", (70,), "widths"),
        ("stacked", (70, 0), "widths"),
        ("stacked", (70, -3), "widths"),
        ("stacked", (70, 2**40), "widths"),
        ("stacked", (8,) * 1000, "widths"),
        ("plain", (70, 32, 16), "2 to 2 numbers from 1 to 1024 are expected of a plain one"),
        ("conv", (70, 1024), "from 1 to 128"),
        ("conv", (70, 8, 8, 8, 8, 8), "widths"),
    ],
)
def test_an_invalid_config_is_refused(kind, widths, message):
    with pytest.raises(RefusedError, match=message):
        NetworkConfig(kind, widths)


def test_the_network_is_symmetric_around_its_bottleneck():
    config = NetworkConfig("stacked", (70, 32, 16, 8))
    assert config.mirrored == (70, 32, 16, 8, 16, 32, 70)
    assert network.build(config)(torch.zeros(3, 70)).shape == (3, 70)


@pytest.mark.parametrize(("kind", "members"), [("stacked", 0), ("stacked", 17), ("stacked", 2**40), ("conv", 2)])
def test_members_that_cannot_be_built_are_refused(kind, members):
    with pytest.raises(RefusedError, match="network members are"):
        NetworkConfig(kind, (70, 8), members)


@pytest.mark.parametrize("samples", [70, 71, 140, 9, 1])
def test_a_convolutional_network_gives_as_many_samples_as_it_takes(samples):
    config = NetworkConfig("conv", (samples, 6, 4, 2))
    assert network.build(config)(torch.zeros(3, samples)).shape == (3, samples)


def test_the_output_of_members_is_their_mean():
    config = NetworkConfig("stacked", (70, 9, 4), members=3)
    together = network.build(config)
    one = NetworkConfig("stacked", (70, 9, 4))
    found = network.weights(together)
    alone = [network.rebuild(one, {name: found[name][member] for name in found}) for member in range(3)]
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
    assert {name: array.shape for name, array in network.weights(network.build(config)).items()} == config.shapes


def test_every_layer_but_the_last_ends_in_a_relu():
    layers = list(network.build(NetworkConfig("stacked", (70, 9, 4))))
    assert [type(layer) for layer in layers] == [torch.nn.Linear, torch.nn.ReLU] * 3 + [torch.nn.Linear]


def test_glorot_weights_fill_their_bounds_and_biases_are_zero():
    weights = network.weights(network.build(NetworkConfig("stacked", (70, 32))))
    bound = np.sqrt(6 / (70 + 32))
    assert 0.95 * bound < np.abs(weights["0.weight"]).max() <= bound
    assert not weights["0.bias"].any()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_rebuilt_network_gives_what_the_first_one_gave(config):
    first = network.build(config)
    again = network.rebuild(config, network.weights(first))
    beats = torch.randn(5, 70)
    assert torch.equal(first(beats), again(beats))
    assert not any(weight.requires_grad for weight in again.parameters())


def test_auto_is_an_existing_device():
    assert network.resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("device", ["tpu9000", "", "cuda:99", "meta", "mps", "xpu", "cpu:7"])
def test_a_missing_device_is_refused_in_a_sentence(device):
    with pytest.raises(RefusedError, match="use auto"):
        network.resolve(device)
