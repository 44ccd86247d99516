"""The training loop: fit a detector on normal beats.

The input is noisy, the target is the clean beat. The loss is the mean absolute error; AdamW minimises it, with a
learning rate that follows a cosine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from monitor.errors import RefusedError
from monitor.model.device import resolve
from monitor.model.manifest import Detector
from monitor.model.tensors.network import stored
from monitor.model.tensors.normalise import normalise
from trainer import progress
from trainer.fitting.bank import Bank
from trainer.fitting.projection import projection
from trainer.fitting.prototypes import prototypes
from trainer.fitting.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Tick = Callable[[float], bool | None]  # called with the loss after each epoch; True ends the training


def ignore(_: float) -> None:
    """A Tick that does nothing."""


def detector(samples: NDArray[np.float32], recipe: Recipe, device: str = "cpu", tick: Tick = ignore) -> Detector:
    """A detector fitted on normal beats (n, 140) in any unit. It is returned on the CPU."""
    return detectors(samples, [np.arange(len(samples))], recipe, device, tick)[0]


def detectors(
    samples: NDArray[np.float32], selections: list[NDArray[np.int64]], recipe: Recipe, device: str, tick: Tick = ignore
) -> list[Detector]:
    """One detector for each selection of rows, fitted on those rows of the normal beats (n, 140) alone.

    All are fitted at the same time, which is much faster than one after the other.
    """
    shapes = normalise(torch.from_numpy(samples).to(resolve(device)), recipe.score.pool).pooled
    networks = fit(shapes, [torch.from_numpy(rows) for rows in selections], recipe, tick)
    made = []
    with progress.phase("typical beats", len(networks), "network") as ready:
        for network, rows in zip(networks, selections, strict=True):
            made.append(_detector(network, shapes[rows], recipe))
            ready("")
    return made


def _detector(network: nn.Sequential, shapes: Tensor, recipe: Recipe) -> Detector:
    beats = shapes.double().cpu().numpy()
    matrix = projection(beats - network(shapes).double().cpu().numpy(), recipe.shaping)
    wanted = recipe.score.prototypes
    typical = prototypes(beats, matrix, wanted, recipe.seed) if wanted else None
    return Detector(stored(recipe.network, network), recipe.score, matrix, typical)


def fit(shapes: Tensor, selections: list[Tensor], recipe: Recipe, tick: Tick = ignore) -> list[nn.Sequential]:
    """One network for each selection of rows, fitted on those rows of normalised beats (n, m). All take as many steps.

    `tick` is called with the first network's loss after each epoch. If it returns True, the training of all networks
    ends there. The same beats, recipe, machine and library versions give the same weights when one thread computes.
    Raises RefusedError if the loss is not finite.
    """
    draw = torch.Generator().manual_seed(recipe.seed)  # on the CPU, so that the noise is the same on a GPU
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        bank = Bank(recipe.network, len(selections)).to(shapes.device)
    orders = _EpochOrders([rows for rows in selections for _ in range(recipe.network.members)], draw)
    _train(bank, shapes, orders, recipe, tick)
    return bank.networks()


class _EpochOrders:
    """For each epoch a new random order of each network's rows.

    All orders have the length of the longest selection; a shorter one repeats some of its rows.
    """

    def __init__(self, selections: list[Tensor], draw: torch.Generator) -> None:
        self._selections, self.draw = selections, draw
        self.beats = max(map(len, selections))

    def __len__(self) -> int:
        return len(self._selections)

    def next(self) -> Tensor:
        """Row numbers (networks, beats) for the next epoch."""
        return torch.stack([self._order(rows) for rows in self._selections])

    def _order(self, rows: Tensor) -> Tensor:
        repeats = math.ceil(self.beats / len(rows))
        return torch.cat([rows[torch.randperm(len(rows), generator=self.draw)] for _ in range(repeats)])[: self.beats]


def _train(bank: Bank, shapes: Tensor, orders: _EpochOrders, recipe: Recipe, tick: Tick) -> None:
    optimiser = torch.optim.AdamW(
        bank.parameters(), recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    epochs = recipe.epochs_for(orders.beats)
    steps = epochs * recipe.batches(orders.beats)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: recipe.rate(step, steps))
    for _ in range(epochs):
        total = torch.zeros(len(orders), device=shapes.device)
        for rows in torch.split(orders.next(), recipe.batch, dim=1):
            loss = _loss(bank, shapes[rows.to(shapes.device)], recipe, orders.draw)
            optimiser.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
            optimiser.step()
            schedule.step()
            total += loss.detach() * rows.shape[1] / orders.beats
        if not total.isfinite().all():
            raise RefusedError(f"training failed: the loss is {total.sum():g}; check the amplitudes of the beats")
        if tick(total[: recipe.network.members].mean().item()):
            return


def _loss(bank: Bank, beats: Tensor, recipe: Recipe, draw: torch.Generator) -> Tensor:
    """Mean absolute error (k,) of each network on its own beats (k, n, m), with noisy input and clean target."""
    gain = 1 + recipe.gain_sd * torch.randn((*beats.shape[:2], 1), generator=draw)
    target = beats * gain.to(beats.device)
    noisy = target + recipe.noise_sd * torch.randn(beats.shape, generator=draw).to(beats.device)
    if recipe.dropout:
        noisy = noisy * (torch.rand(beats.shape, generator=draw) >= recipe.dropout).to(beats.device)
    loss: Tensor = (bank(noisy) - target).abs().mean((1, 2))
    return loss
