"""A config says what a network is, and nonsense is refused before anything is allocated."""

from __future__ import annotations

import pytest

from monitor.errors import RefusedError
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


@pytest.mark.parametrize(("kind", "members"), [("stacked", 0), ("stacked", 17), ("stacked", 2**40), ("conv", 2)])
def test_members_that_cannot_be_built_are_refused(kind, members):
    with pytest.raises(RefusedError, match="network members are"):
        NetworkConfig(kind, (70, 8), members)


def test_only_a_convolutional_network_is_not_dense():
    assert [NetworkConfig(kind, (70, 8)).is_dense for kind in ("plain", "stacked", "conv")] == [True, True, False]
