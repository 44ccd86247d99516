"""The networks: a classic one of five layers, and residual U-Nets that work at half the resolution."""

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
STRIDE = 4  # both networks halve the picture twice, so its sides are padded to a multiple of 4
REACH = 32  # an output pixel depends only on input pixels that are at most this far away
DESIGNS = (1, 2)  # of the network `best`; a model file without a design has the first
WIDTH, DEEP_WIDTH, DEEP_BLOCKS = 48, 80, 2


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """Everything that a network is built from. Raises RefusedError if there is no such network."""

    network: str = "best"
    channels: int = 1
    design: int = 2

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise RefusedError(f"network {self.network!r} is unknown; {' and '.join(NETWORKS)} can be built")
        if self.channels not in CHANNELS:
            raise RefusedError(f"{self.channels} channels are not possible; 1 (grey) and 3 (colour) are")
        if self.design not in DESIGNS:
            raise RefusedError(f"design {self.design} of the network is unknown; 1 and 2 can be built")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight."""
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in build(self).state_dict().items()}


class ConvBlock(nn.Module):
    """A residual block: it adds the result of two convolutions to its input (n, width, h, w)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _same(width, width), _same(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = inputs + self.second(torch.relu(self.first(inputs)))
        return found


class ResidualUNet(nn.Module):
    """Predicts what to add to the noisy picture.

    Each square of 2 x 2 pixels becomes one place with four values, so the 3 x 3 filters run on a quarter of the places.
    One level below that, the blocks see all of a small picture.
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
    """The first design of this network: a ReLU after every convolution, 32 and 64 filters."""

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
    """A new network (n, c, h, w) → (n, c, h, w) with torch's initial weights. h and w must be multiples of 4."""
    if config.network == "classic":
        return _classic(config.channels)
    return ResidualUNet(config.channels) if config.design == DESIGNS[-1] else FirstUNet(config.channels)


def inner_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """The filters between the first and the last layer of a U-Net, by name. The classic network has none."""
    if isinstance(network, nn.Sequential):
        return {}
    named = network.named_parameters()
    return {name: weight for name, weight in named if weight.ndim > 1 and not name.startswith(("enter", "leave"))}


def rebuild(config: DenoiserConfig, weights: Mapping[str, NDArray[np.float32]]) -> nn.Module:
    """The network with these weights. Their names and shapes must be those of `config.shapes`."""
    with torch.device("meta"):
        network = build(config)
    network.load_state_dict({name: torch.from_numpy(weights[name].copy()) for name in config.shapes}, assign=True)
    return network.requires_grad_(requires_grad=False).eval()


def of_any_size(network: nn.Module, noisy: Tensor) -> Tensor:
    """The network's output for pictures (n, c, h, w) of any size.

    The edge pixels are repeated to reach a multiple of STRIDE, and what was added is cut off again.
    """
    height, width = noisy.shape[-2:]
    padded = functional.pad(noisy, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
    clean: Tensor = network(padded)[..., :height, :width]
    return clean


def apply(network: nn.Module, noisy: Tensor) -> Tensor:
    """Pictures (n, c, h, w) of any size with values in [0, 1], denoised and clipped to [0, 1]."""
    with torch.inference_mode():
        return of_any_size(network, noisy).clamp(0, 1)


def dead_filters(network: nn.Module, noisy: Tensor) -> int:
    """The number of ReLU filters of a classic network that give 0 everywhere on these pictures; 0 for a U-Net."""
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
    """A 3 x 3 convolution with padding, so that the size stays the same."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)
