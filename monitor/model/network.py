"""The autoencoders that score beats, built from the small configuration that a model file holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

LAYERS = {"plain": range(2, 3), "stacked": range(2, 9), "conv": range(2, 6)}
WIDTHS = range(1, 1025)
CHANNELS = range(1, 129)
MEMBERS = range(1, 17)
KERNEL, STRIDE, PADDING = 7, 2, 3  # samples; so a convolution halves the length, rounded up


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A symmetric autoencoder, described by its widths from the input to the bottleneck.

    `plain` has one hidden layer and `stacked` several; both are dense. `conv` is convolutional: the first width is the
    length of the input, the others are channels, and each layer is half as long as the one before. Several `members`
    are as many dense networks side by side; their reconstruction is the mean of those of the members.

    Everything is bounded, and the tensors of a model file must have the shapes of `shapes` before a network is built.
    Raises RefusedError for values out of range.
    """

    kind: str = "stacked"
    widths: tuple[int, ...] = (70, 32, 16, 8)
    members: int = field(default=1, repr=False)  # left out of repr, which the ids of older models hash

    def __post_init__(self) -> None:
        if self.kind not in LAYERS:
            raise RefusedError(f"network kind {self.kind!r} is unknown, where {', '.join(LAYERS)} can be built")
        layers, inner = LAYERS[self.kind], CHANNELS if self.kind == "conv" else WIDTHS
        is_possible = (
            len(self.widths) in layers and self.widths[0] in WIDTHS and all(width in inner for width in self.widths[1:])
        )
        if not is_possible:
            raise RefusedError(
                f"network widths are {self.widths!s:.80}, where {layers[0]} to {layers[-1]} numbers "
                f"from {inner[0]} to {inner[-1]} are expected of a {self.kind} one"
            )
        if self.members not in MEMBERS or (self.kind == "conv" and self.members > 1):
            raise RefusedError(f"network members are {self.members}, where 1 to {MEMBERS[-1]} dense ones can be built")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, in the order of the layers."""
        if self.kind == "conv":
            return self._convolutions()
        several = (self.members,) if self.members > 1 else ()
        named: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, outputs) in enumerate(pairwise(self.mirrored)):
            named[f"{2 * layer}.weight"] = (*several, outputs, inputs)
            named[f"{2 * layer}.bias"] = (*several, outputs)
        return named

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Widths from the input through the bottleneck to the output."""
        return (*self.widths, *self.widths[-2::-1])

    @property
    def lengths(self) -> tuple[int, ...]:
        """Length in samples of the input and of each layer of a convolutional network's encoder."""
        found = [self.widths[0]]
        for _ in self.widths[1:]:
            found.append(-(-found[-1] // STRIDE))
        return tuple(found)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the input and of each layer of a convolutional network's encoder."""
        return (1, *self.widths[1:])

    def _convolutions(self) -> dict[str, tuple[int, ...]]:
        """The same for a convolutional network: encoder, then decoder."""
        down = list(pairwise(self.channels))
        named: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, outputs) in enumerate(down):
            named[f"{2 * layer + 1}.weight"] = (outputs, inputs, KERNEL)
            named[f"{2 * layer + 1}.bias"] = (outputs,)
        for layer, (outputs, inputs) in enumerate(reversed(down), len(down)):
            named[f"{2 * layer + 1}.weight"] = (inputs, outputs, KERNEL)
            named[f"{2 * layer + 1}.bias"] = (outputs,)
        return named


class Members(nn.Sequential):
    """Dense networks side by side: each layer is one matrix product for all of them, the output is their mean."""

    def __init__(self, mirrored: tuple[int, ...], members: int) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(mirrored):
            layers += [_MemberLayer(members, inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])
        self._members = members

    def forward(self, beats: Tensor) -> Tensor:
        """Beats (n, m) → the mean of the members' reconstructions (n, m)."""
        return self.apart(beats.expand(self._members, *beats.shape)).mean(0)

    def apart(self, beats: Tensor) -> Tensor:
        """Beats (members, n, m), each member's own → the reconstructions (members, n, m)."""
        for layer in self:
            beats = layer(beats)
        return beats


class _MemberLayer(nn.Module):
    """One dense layer of each of k members: (k, n, inputs) → (k, n, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(members, outputs))
        bound = (6 / (inputs + outputs)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, beats: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, None], beats, self.weight.transpose(1, 2))


_PARTS = {
    nn.Sequential,
    nn.Linear,
    nn.ReLU,
    nn.Conv1d,
    nn.ConvTranspose1d,
    nn.Flatten,
    nn.Unflatten,
    Members,
    _MemberLayer,
}


def build(config: NetworkConfig) -> nn.Sequential:
    """A new network (n, widths[0]) → (n, widths[0]): ReLU after every layer but the last, which is linear.

    Weights are Glorot-uniform (Glorot and Bengio 2010) from torch's global generator, biases are 0.
    """
    if config.kind == "conv":
        return _convolutional(config)
    if config.members > 1:
        return Members(config.mirrored, config.members)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(config.mirrored):
        layers += [_initialised(nn.Linear(inputs, outputs)), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def projected(network: nn.Module, projection: Tensor | None) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The function from beats (n, m) to the beats and their residuals (n, m), both times the projection.

    The residual is a beat minus its reconstruction. `projection` is (m, m); without one nothing is multiplied.
    """
    if projection is None:
        return lambda beats: (beats, beats - network(beats))
    layers = list(network.children())
    dense = [layer for layer in layers if isinstance(layer, nn.Linear | _MemberLayer)]
    if dense and all(isinstance(layer, nn.Linear | _MemberLayer | nn.ReLU) for layer in layers):
        return _Folded(dense, projection)
    return lambda beats: (beats @ projection, (beats - network(beats)) @ projection)


def is_built_here(network: nn.Module) -> bool:
    """Whether a network has only parts that `build` uses. Such a network does the same operations for every batch."""
    return all(type(part) in _PARTS for part in network.modules())


class _Folded:
    """Projected beats and residuals of dense networks, in fewer matrix products than the layers have.

    The last layer, the mean of the members and the projection are all linear: their product is computed once, in
    float64. The first layers of all members are one product. Beats are columns here, which makes the products faster.
    """

    def __init__(self, dense: list[nn.Linear | _MemberLayer], projection: Tensor) -> None:
        weights = [each.weight.detach().view(-1, *each.weight.shape[-2:]) for each in dense]
        biases = [each.bias.detach().view(len(weights[0]), -1, 1) for each in dense]
        self._members = len(weights[0])
        self._first, self._first_bias = weights[0].flatten(0, 1), biases[0].flatten(0, 1)
        self._inner = list(zip(weights[1:-1], biases[1:-1], strict=True))
        exact = projection.T.double()
        self._projection = projection.T.contiguous()
        self._last = (exact @ torch.cat(list(weights[-1].double()), 1) / -self._members).float()
        self._last_bias = (exact @ biases[-1].double().mean(0) * -1).float()

    def __call__(self, beats: Tensor) -> tuple[Tensor, Tensor]:
        """Beats (n, m) → projected beats (n, m) and projected residuals (n, m)."""
        columns = beats.T
        hidden = torch.addmm(self._first_bias, self._first, columns).relu_().view(self._members, -1, beats.shape[0])
        for weight, bias in self._inner:
            hidden = torch.baddbmm(bias, weight, hidden).relu_()
        whole = self._projection @ columns
        residual = torch.addmm(self._last_bias, self._last, hidden.flatten(0, 1)).add_(whole)
        return whole.T, residual.T


def _convolutional(config: NetworkConfig) -> nn.Sequential:
    """Convolutions that halve the length, then transposed convolutions that double it."""
    lengths, layers = config.lengths, list[nn.Module]([nn.Unflatten(1, (1, -1))])
    for inputs, outputs in pairwise(config.channels):
        layers += [_initialised(nn.Conv1d(inputs, outputs, KERNEL, STRIDE, PADDING)), nn.ReLU()]
    for layer, (inputs, outputs) in enumerate(pairwise(config.channels[::-1])):
        even = 1 - lengths[-2 - layer] % 2  # doubling gives an odd length: one sample is added where it was even
        layers += [_initialised(nn.ConvTranspose1d(inputs, outputs, KERNEL, STRIDE, PADDING, even)), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Flatten(1))


def rebuild(config: NetworkConfig, weights: Mapping[str, NDArray[np.float32]]) -> nn.Sequential:
    """The network of a configuration with these weights, which have the names and shapes of `config.shapes`.

    It is on the CPU, in evaluation mode, and needs no gradients.
    """
    with torch.device("meta"):
        network = build(config)
    tensors = {name: torch.from_numpy(weights[name].copy()) for name in config.shapes}
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(requires_grad=False).eval()


def weights(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Every weight of a network by name, on the CPU."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def resolve(device: str) -> torch.device:
    """The torch device that `auto`, `cpu`, `cuda` or `cuda:N` names; `auto` is the GPU where there is one.

    Raises RefusedError for another name and for a device that this machine does not have.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        named = torch.device(device)
    except RuntimeError:
        raise RefusedError(f"device {device!r} is unknown: use auto, cpu, cuda or cuda:N") from None
    if named.type not in ("cpu", "cuda") or (named.type == "cpu" and named.index is not None):
        raise RefusedError(f"device {device!r} cannot be used here: use auto, cpu, cuda or cuda:N")
    if named.type == "cuda" and (named.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise RefusedError(f"device {device} is not there (torch sees {count} CUDA devices): use auto or cpu")
    return named


def _initialised(layer: nn.Linear | nn.Conv1d | nn.ConvTranspose1d) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
