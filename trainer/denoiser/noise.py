"""What is done to a clean picture before the network sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from monitor.errors import RefusedError

Kind = Literal["gaussian", "dropout"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_SD = 10.0  # of pictures in [0, 1]: nothing of them is left


@dataclass(frozen=True, slots=True)
class Corruption:
    """Gaussian noise of a standard deviation, clipped to [0, 1], or a share of the values set to 0."""

    kind: Kind = "gaussian"
    level: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.level < 1 if self.kind == "dropout" else 0 < self.level <= MAX_SD):
            raise RefusedError(
                f"noise {self} makes no sense: gaussian takes a standard deviation above 0 and up to {MAX_SD:g}, "
                "dropout a share between 0 and 1"
            )

    def __str__(self) -> str:
        return f"{self.kind}:{self.level:g}"

    def spoil(self, clean: Tensor, draw: torch.Generator) -> Tensor:
        """A spoilt copy of pictures in [0, 1]. Drawn on the CPU, so that a GPU sees the same noise."""
        if self.kind == "dropout":
            kept = torch.rand(clean.shape, generator=draw) >= self.level
            return clean * kept.to(clean.device)
        noise = self.level * torch.randn(clean.shape, generator=draw)
        return (clean + noise.to(clean.device)).clamp_(0, 1)


def corruption(text: str) -> Corruption:
    """The corruption that a person named, as `gaussian:0.2` or `dropout:0.3`.

    Raises RefusedError.
    """
    kind, _, level = text.partition(":")
    try:
        value = float(level)
    except ValueError:
        value = math.nan
    if kind not in KINDS or math.isnan(value):
        raise RefusedError(f"noise {text!r} is unknown: write gaussian:0.2 or dropout:0.3")
    return Corruption(kind, value)
