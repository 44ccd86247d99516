"""Muon, an optimiser for the weights of inner convolutions: each step is the momentum, made orthogonal.

Adam lets a few directions of a weight matrix grow and hardly moves the others. An orthogonal step moves all directions
alike. Our denoiser then needs only a fraction of the training time for the same error (`docs/experiments.md`). The
method is Keller Jordan's Muon. torch's own version takes only matrices and always computes in bfloat16, which many CPUs
lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

MOMENTUM = 0.95
ROUNDS = 5
COEFFICIENTS = (
    3.4445,
    -4.7750,
    2.0315,
)  # of x, x³ and x⁵; repeated, they bring every singular value to between 0.7 and 1.2


class Muon(torch.optim.Optimizer):
    """For weights of two or more axes. Each is treated as a matrix with one row for each entry of its first axis.

    That entry is an output of a convolution, or an input of a transposed convolution. Steps are made orthogonal in
    numbers of the type `precision`.
    """

    def __init__(self, weights: Iterable[Tensor], rate: float, precision: torch.dtype = torch.float32) -> None:
        super().__init__(weights, {"lr": rate})
        self.precision = precision

    @torch.no_grad()
    def step(self, _closure: None = None) -> None:  # type: ignore[override]  # a closure, which computes the loss again, is not supported
        for group in self.param_groups:
            for weight in group["params"]:
                self._move(weight, group["lr"])

    def _move(self, weight: Tensor, rate: float) -> None:
        """One step with Nesterov's momentum. The step is larger for matrices with more rows than columns.

        Otherwise their rows would move less than those of other matrices.
        """
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        mean: Tensor = self.state[weight].setdefault("mean", torch.zeros_like(weight))
        mean.lerp_(gradient, 1 - MOMENTUM)
        step = orthogonal(gradient.lerp(mean, MOMENTUM).flatten(1).to(self.precision)).to(weight.dtype)
        weight.sub_(step.reshape(weight.shape), alpha=rate * max(1.0, len(step) / step.shape[1]) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with the same singular vectors and singular values near 1, by the Newton-Schulz iteration."""
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    first, third, fifth = COEFFICIENTS
    found: Tensor = matrix / (matrix.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = found @ found.T
        found = first * found + (third * square + fifth * square @ square) @ found
    return found
