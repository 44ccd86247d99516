"""Many networks of one kind that are trained at the same time: the members of an ensemble, and those of all folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from monitor.model.network import Network
from monitor.model.tensors.network import Members, build, rebuild, stored

if TYPE_CHECKING:
    from torch import Tensor

    from monitor.model.network import NetworkConfig


class Bank(nn.Module):
    """So many networks of one config, each with `config.members` members.

    They share no weights. So a loss that is summed over all of them trains each as if it were alone.
    """

    def __init__(self, config: NetworkConfig, networks: int) -> None:
        super().__init__()
        self._config, self._networks = config, networks
        self._all = (
            Members(config.mirrored, networks * config.members)
            if config.kind != "conv"
            else nn.ModuleList(build(config) for _ in range(networks))
        )

    def forward(self, beats: Tensor) -> Tensor:
        """Beats (k, n, m) → reconstructions (k, n, m), where k counts every member of every network."""
        if isinstance(self._all, Members):
            return self._all.apart(beats)
        return torch.stack([network(own) for network, own in zip(self._all, beats, strict=True)])

    def networks(self) -> list[nn.Sequential]:
        """The trained networks, ready to reconstruct beats, on the device that they were trained on."""
        device = next(self.parameters()).device
        return [self._network(number).to(device) for number in range(self._networks)]

    def _network(self, number: int) -> nn.Sequential:
        if isinstance(self._all, nn.ModuleList):
            return rebuild(stored(self._config, self._all[number]))
        members = self._config.members
        own = slice(number * members, (number + 1) * members) if members > 1 else number
        together = stored(self._config, self._all)
        return rebuild(Network(self._config, {name: array[own] for name, array in together.weights.items()}))
