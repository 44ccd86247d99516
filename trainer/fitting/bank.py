"""Many networks of one config that learn side by side: the members of an ensemble, and all folds at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from monitor.model.network import Members, NetworkConfig, build, rebuild, weights

if TYPE_CHECKING:
    from torch import Tensor


class Bank(nn.Module):
    """`parts` networks of a config. A loss summed over them trains each as if it were alone."""

    def __init__(self, config: NetworkConfig, parts: int) -> None:
        super().__init__()
        self._config, self._parts = config, parts
        self._all = (
            Members(config.mirrored, parts * config.members)
            if config.kind != "conv"
            else nn.ModuleList(build(config) for _ in range(parts))
        )

    def forward(self, beats: Tensor) -> Tensor:
        """(k, n, m) → (k, n, m), where k counts every member of every part."""
        if isinstance(self._all, Members):
            return self._all.apart(beats)
        return torch.stack([network(own) for network, own in zip(self._all, beats, strict=True)])

    def networks(self) -> list[nn.Sequential]:
        """The network of each part, ready to reconstruct, on the device they were trained on."""
        device = next(self.parameters()).device
        return [self._network(part).to(device) for part in range(self._parts)]

    def _network(self, part: int) -> nn.Sequential:
        if isinstance(self._all, nn.ModuleList):
            return rebuild(self._config, weights(self._all[part]))
        members = self._config.members
        own = slice(part * members, (part + 1) * members) if members > 1 else part
        return rebuild(self._config, {name: array[own] for name, array in weights(self._all).items()})
