"""An autoencoder that scores beats, as a model file holds it: a small configuration and arrays of weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

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
    def is_dense(self) -> bool:
        """Whether it consists of matrix products alone; such a network needs no torch."""
        return self.kind != "conv"

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


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network: normalised beats (n, m) → their reconstructions (n, m). `weights` have the shapes of the config."""

    config: NetworkConfig
    weights: Mapping[str, NDArray[np.float32]]
