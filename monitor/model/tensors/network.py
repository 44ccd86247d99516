"""Networks of torch, built from a configuration: for training, for a GPU, and for convolutional networks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from monitor.model.network import KERNEL, PADDING, STRIDE, Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from monitor.model.network import NetworkConfig


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


def rebuild(network: Network) -> nn.Sequential:
    """A network of torch with these weights. It is on the CPU, in evaluation mode, and needs no gradients."""
    with torch.device("meta"):
        made = build(network.config)
    tensors = {name: torch.from_numpy(network.weights[name].copy()) for name in network.config.shapes}
    made.load_state_dict(tensors, assign=True)
    return made.requires_grad_(requires_grad=False).eval()


def stored(config: NetworkConfig, network: nn.Module) -> Network:
    """A network of torch, built from `config`, as a model file holds it: its weights on the CPU."""
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    return Network(config, weights)


def _initialised(layer: nn.Linear | nn.Conv1d | nn.ConvTranspose1d) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
