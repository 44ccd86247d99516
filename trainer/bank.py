"""Many networks of one config that learn side by side: the members of an ensemble, and all folds at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from monitor.network import Members, NetworkConfig, build, rebuild, weights

if TYPE_CHECKING:
    from torch import Tensor


def batched(config: NetworkConfig) -> bool:
    """Whether several of them can learn in one product a layer; convolutions take turns."""
    return config.kind != "conv"


class Bank(nn.Module):
    """`parts` networks of a config. A loss summed over them trains each as if it were alone."""

    def __init__(self, config: NetworkConfig, parts: int) -> None:
        super().__init__()
        self._config, self._parts = config, parts
        self._all = Members(config.mirrored, parts * config.members) if batched(config) else build(config)

    def forward(self, beats: Tensor) -> Tensor:
        """(k, n, m) → (k, n, m), where k counts every member of every part."""
        if isinstance(self._all, Members):
            return self._all.apart(beats)
        return self._all(beats[0])[None]  # type: ignore[no-any-return]  # torch's modules return Any

    def networks(self) -> list[nn.Sequential]:
        """The network of each part, ready to reconstruct, on the device they were trained on."""
        device = next(self.parameters()).device
        return [self._network(part).to(device) for part in range(self._parts)]

    def _network(self, part: int) -> nn.Sequential:
        found, members = weights(self._all), self._config.members
        if batched(self._config):
            own = slice(part * members, (part + 1) * members) if members > 1 else part
            found = {name: array[own] for name, array in found.items()}
        return rebuild(self._config, found)
