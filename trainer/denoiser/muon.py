"""Muon: steps along the momentum made orthogonal, for the weights of inner convolutions.

Adam lets a few directions of a weight matrix grow and hardly moves the others; an orthogonal step moves all alike. For
our denoiser it is worth several times the training time (`docs/experiments.md`). After Keller Jordan's optimiser of
that name; torch's own takes matrices alone and always computes in bfloat16, which many CPUs lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

MOMENTUM = 0.95
ROUNDS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of x, x³ and x⁵: they drive every singular value to between 0.7 and 1.2


class Muon(torch.optim.Optimizer):
    """For weights of two axes and more, seen as matrices of one row for each entry of the first axis: an output, or an
    input of a transposed convolution.

    Steps are made orthogonal in numbers of a `kind`.
    """

    def __init__(self, weights: Iterable[Tensor], rate: float, kind: torch.dtype = torch.float32) -> None:
        super().__init__(weights, {"lr": rate})
        self.kind = kind

    @torch.no_grad()
    def step(self, _closure: None = None) -> None:  # type: ignore[override]  # no second look at the loss
        for group in self.param_groups:
            for weight in group["params"]:
                self._move(weight, group["lr"])

    def _move(self, weight: Tensor, rate: float) -> None:
        """One step with Nesterov's momentum; tall matrices go further, so that each row moves alike."""
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        mean: Tensor = self.state[weight].setdefault("mean", torch.zeros_like(weight))
        mean.lerp_(gradient, 1 - MOMENTUM)
        step = orthogonal(gradient.lerp(mean, MOMENTUM).flatten(1).to(self.kind)).to(weight.dtype)
        weight.sub_(step.reshape(weight.shape), alpha=rate * max(1.0, len(step) / step.shape[1]) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values near 1 and its singular vectors as they are, by Newton and Schulz."""
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    first, third, fifth = COEFFICIENTS
    found: Tensor = matrix / (matrix.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = found @ found.T
        found = first * found + (third * square + fifth * square @ square) @ found
    return found
