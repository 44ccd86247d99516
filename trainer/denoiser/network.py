"""The image denoisers: the classic five layers, and residual U-Nets that work at half the resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NETWORKS = ("classic", "best")
CHANNELS = (1, 3)
STRIDE = 4  # both networks halve the picture twice: its sides are padded to a multiple of this
REACH = 32  # no output pixel of either network looks further than this many pixels
DESIGNS = (1, 2)  # of `best`; files that name none are of the first
WIDTH, DEEP_WIDTH, DEEP_BLOCKS = 48, 80, 2


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """Everything that a network is built from. Raises RefusedError when there is no such network."""

    network: str = "best"
    channels: int = 1
    design: int = 2

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise RefusedError(f"network {self.network!r} is unknown, where {' and '.join(NETWORKS)} can be built")
        if self.channels not in CHANNELS:
            raise RefusedError(f"{self.channels} channels, where 1 (grey) and 3 (colour) are possible")
        if self.design not in DESIGNS:
            raise RefusedError(f"design {self.design} of the network is unknown, where 1 and 2 can be built")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight."""
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in build(self).state_dict().items()}


class ConvBlock(nn.Module):
    """Adds to its input what two convolutions find in it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _same(width, width), _same(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = inputs + self.second(torch.relu(self.first(inputs)))
        return found


class ResidualUNet(nn.Module):
    """Predicts what to add to the noisy picture.

    Four pixels become one with four values, so that the 3 x 3 filters run on a quarter of the places; one level below
    that, blocks see the whole of a small picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = _same(4 * channels, WIDTH)
        self.before = ConvBlock(WIDTH)
        self.down = nn.Conv2d(WIDTH, DEEP_WIDTH, 2, 2)
        self.deep = nn.Sequential(*(ConvBlock(DEEP_WIDTH) for _ in range(DEEP_BLOCKS)))
        self.up = nn.ConvTranspose2d(DEEP_WIDTH, WIDTH, 2, 2)
        self.after = ConvBlock(WIDTH)
        self.leave = _same(WIDTH, 4 * channels)

    def forward(self, noisy: Tensor) -> Tensor:
        fine = self.before(self.enter(functional.pixel_unshuffle(noisy, 2)))
        fine = self.after(fine + self.up(self.deep(self.down(fine))))
        return noisy + functional.pixel_shuffle(self.leave(torch.relu(fine)), 2)


class FirstUNet(nn.Module):
    """The first design of the same idea: a ReLU after every convolution, 32 and 64 filters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = _same(4 * channels, 32)
        self.before = _same(32, 32)
        self.down = nn.Conv2d(32, 64, 2, 2)
        self.deep = nn.ModuleList([_same(64, 64), _same(64, 64)])
        self.up = nn.ConvTranspose2d(64, 32, 2, 2)
        self.after = _same(32, 32)
        self.leave = _same(32, 4 * channels)

    def forward(self, noisy: Tensor) -> Tensor:
        fine = torch.relu(self.before(torch.relu(self.enter(functional.pixel_unshuffle(noisy, 2)))))
        coarse = torch.relu(self.down(fine))
        for block in self.deep:
            coarse = coarse + torch.relu(block(coarse))
        fine = torch.relu(self.after(fine + self.up(coarse)))
        return noisy + functional.pixel_shuffle(self.leave(fine), 2)


def build(config: DenoiserConfig) -> nn.Module:
    """A fresh network (n, c, h, w) → (n, c, h, w) for sides that are multiples of four; torch's own initial weights."""
    if config.network == "classic":
        return _classic(config.channels)
    return ResidualUNet(config.channels) if config.design == DESIGNS[-1] else FirstUNet(config.channels)


def inner_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """By name, the filters between the first and the last layer of a U-Net; none of the classic network."""
    if isinstance(network, nn.Sequential):
        return {}
    named = network.named_parameters()
    return {name: weight for name, weight in named if weight.ndim > 1 and not name.startswith(("enter", "leave"))}


def rebuild(config: DenoiserConfig, weights: Mapping[str, NDArray[np.float32]]) -> nn.Module:
    """The network with these weights, named and shaped as `config.shapes` says."""
    with torch.device("meta"):
        network = build(config)
    network.load_state_dict({name: torch.from_numpy(weights[name].copy()) for name in config.shapes}, assign=True)
    return network.requires_grad_(requires_grad=False).eval()


def fitted(network: nn.Module, noisy: Tensor) -> Tensor:
    """What the network makes of pictures (n, c, h, w) of any size: their edge is repeated to fit it, then cut off."""
    height, width = noisy.shape[-2:]
    padded = functional.pad(noisy, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
    clean: Tensor = network(padded)[..., :height, :width]
    return clean


def apply(network: nn.Module, noisy: Tensor) -> Tensor:
    """Pictures (n, c, h, w) in [0, 1] of any size, denoised and clipped."""
    with torch.inference_mode():
        return fitted(network, noisy).clamp(0, 1)


def dead_filters(network: nn.Module, noisy: Tensor) -> int:
    """How many ReLU filters of a classic network give 0 everywhere on these pictures; 0 for other networks."""
    dead = 0
    with torch.inference_mode():
        for layer in network.children():
            noisy = layer(noisy)
            if isinstance(layer, nn.ReLU):
                dead += int((noisy.amax((0, 2, 3)) <= 0).sum())
    return dead


def _classic(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(8, 16, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.Conv2d(16, channels, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip


def _same(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)
