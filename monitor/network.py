"""The autoencoders that the daemon serves, built from the small config that an artifact carries."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

KINDS = ("stacked",)
LAYERS = range(2, 9)
WIDTHS = range(1, 1025)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A symmetric autoencoder by its widths from the input to the bottleneck.

    Bounded, so that a hostile model file allocates a few megabytes at most. Raises RefusedError when it makes no sense.
    """

    kind: str = "stacked"
    widths: tuple[int, ...] = (70, 32, 16, 8)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RefusedError(f"network kind {self.kind!r} is unknown, where {', '.join(KINDS)} can be built")
        if len(self.widths) not in LAYERS or not all(width in WIDTHS for width in self.widths):
            raise RefusedError(
                f"network widths are {self.widths}, where {LAYERS[0]} to {LAYERS[-1]} numbers "
                f"from {WIDTHS[0]} to {WIDTHS[-1]} are expected"
            )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, in the order of the layers."""
        named: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, outputs) in enumerate(pairwise(self.mirrored)):
            named[f"{2 * layer}.weight"] = (outputs, inputs)
            named[f"{2 * layer}.bias"] = (outputs,)
        return named

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Widths from the input through the bottleneck to the output."""
        return (*self.widths, *self.widths[-2::-1])


def build(config: NetworkConfig) -> nn.Sequential:
    """A fresh network (n, widths[0]) → (n, widths[0]): ReLU on every layer with the bottleneck, linear output.

    Glorot-uniform weights from torch's global generator, biases 0.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(config.mirrored):
        layers += [_linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def rebuild(config: NetworkConfig, weights: Mapping[str, NDArray[np.float32]]) -> nn.Sequential:
    """The network with these weights, named and shaped as `config.shapes` says."""
    with torch.device("meta"):
        network = build(config)
    tensors = {name: torch.from_numpy(weights[name].copy()) for name in config.shapes}
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(requires_grad=False).eval()


def weights(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Every weight by name, on the CPU."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def resolve(device: str) -> torch.device:
    """The torch device of a setting: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises RefusedError when it is named but not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        named = torch.device(device)
    except RuntimeError:
        raise RefusedError(f"device {device!r} is unknown: use auto, cpu, cuda or cuda:N") from None
    if named.type == "cuda" and (named.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise RefusedError(f"device {device} is not there (torch sees {count} CUDA devices): use auto or cpu")
    return named


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
