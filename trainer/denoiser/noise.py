"""The noise that is added to clean pictures, and that the network learns to remove."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from monitor.errors import RefusedError

Kind = Literal["gaussian", "dropout"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_SD = 10.0  # standard deviation; of pictures with values in [0, 1] nothing can be seen at this level


@dataclass(frozen=True, slots=True)
class Corruption:
    """Kind and level of the noise. `gaussian`: `level` is the standard deviation, and values are clipped to [0, 1].

    `dropout`: `level` is the share of the values that are set to 0. Raises RefusedError for an impossible level.
    """

    kind: Kind = "gaussian"
    level: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.level < 1 if self.kind == "dropout" else 0 < self.level <= MAX_SD):
            raise RefusedError(
                f"noise {self} is not possible: gaussian takes a standard deviation above 0 and up to {MAX_SD:g}, "
                "dropout takes a share between 0 and 1"
            )

    def __str__(self) -> str:
        return f"{self.kind}:{self.level:g}"

    def spoil(self, clean: Tensor, draw: torch.Generator) -> Tensor:
        """A noisy copy of pictures with values in [0, 1]. The noise is drawn on the CPU, so it is the same on a GPU."""
        if self.kind == "dropout":
            kept = torch.rand(clean.shape, generator=draw) >= self.level
            return clean * kept.to(clean.device)
        noise = self.level * torch.randn(clean.shape, generator=draw)
        return (clean + noise.to(clean.device)).clamp_(0, 1)


def corruption(text: str) -> Corruption:
    """The noise that a person wrote, such as `gaussian:0.2` or `dropout:0.3`. Raises RefusedError for anything else."""
    kind, _, level = text.partition(":")
    try:
        value = float(level)
    except ValueError:
        value = math.nan
    if kind not in KINDS or math.isnan(value):
        raise RefusedError(f"noise {text!r} is unknown: write gaussian:0.2 or dropout:0.3")
    return Corruption(kind, value)
