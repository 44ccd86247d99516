"""Fit a detector on normal beats: noisy input, clean target, mean absolute error, AdamW with a cosine schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from monitor.errors import RefusedError
from monitor.model.manifest import Detector, ScoreConfig
from monitor.model.network import resolve
from monitor.model.normalise import normalise
from monitor.model.scorer import SCORED, Scorer
from trainer.fitting.bank import Bank
from trainer.fitting.projection import projection
from trainer.fitting.prototypes import prototypes
from trainer.fitting.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Tick = Callable[[float], bool | None]  # hears the loss of an epoch; when it says True, that was the last

SCORING_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Fitted:
    """A detector and how it came about."""

    detector: Detector
    calibration: NDArray[np.float32]  # ascending scores of its own beats, each by a network that did not see it
    losses: tuple[float, ...]  # of each epoch
    interrupted: bool = False


def ignore(_: float) -> None:
    """Nobody watches."""


def detector(samples: NDArray[np.float32], recipe: Recipe, device: str = "cpu", tick: Tick = ignore) -> Detector:
    """A detector fitted on normal beats (n, 140) in any unit; it comes back on the CPU."""
    return detectors(samples, [np.arange(len(samples))], recipe, device, tick)[0]


def detectors(
    samples: NDArray[np.float32], parts: list[NDArray[np.int64]], recipe: Recipe, device: str, tick: Tick = ignore
) -> list[Detector]:
    """A detector for each part, fitted on those rows of the normal beats alone; all in one go, which is far cheaper."""
    shapes = normalise(torch.from_numpy(samples).to(resolve(device)), recipe.score.pool).pooled
    networks = fit(shapes, [torch.from_numpy(rows) for rows in parts], recipe, tick)
    return [_detector(network, shapes[rows], recipe) for network, rows in zip(networks, parts, strict=True)]


def _detector(network: nn.Sequential, shapes: Tensor, recipe: Recipe) -> Detector:
    beats = shapes.double().cpu().numpy()
    matrix = projection(beats - network(shapes).double().cpu().numpy(), recipe.shaping)
    wanted = recipe.score.prototypes
    typical = prototypes(beats, matrix, wanted, recipe.seed) if wanted else None
    return Detector(network.cpu(), recipe.score, matrix, typical)


def scores(fitted: Detector, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of beats (n, 140) as the monitor will give them; NaN for a beat that it would not score."""
    return Scorer(fitted, "cpu", SCORING_BATCH).score(samples).score


def scorable(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which beats (n, 140) the monitor would score at all: those neither flat nor saturated."""
    indifferent = Detector(nn.Identity(), ScoreConfig(), None)
    return np.equal(Scorer(indifferent, "cpu", SCORING_BATCH).score(samples).cause, SCORED)


def fit(shapes: Tensor, parts: list[Tensor], recipe: Recipe, tick: Tick = ignore) -> list[nn.Sequential]:
    """A network for each part, fitted on those rows of normalised beats (n, m), all for as many steps.

    `tick` hears the first part's loss after each epoch, and may end the training of all of them there. Same beats,
    recipe, machine and versions, one thread: same weights. Raises RefusedError when the loss is not finite.
    """
    draw = torch.Generator().manual_seed(recipe.seed)  # on the CPU, so that a GPU sees the same noise
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        bank = Bank(recipe.network, len(parts)).to(shapes.device)
    _learn(bank, shapes, _Orders([rows for rows in parts for _ in range(recipe.network.members)], draw), recipe, tick)
    return bank.networks()


class _Orders:
    """Each epoch a fresh order of each network's own rows; where others have more, some come twice."""

    def __init__(self, parts: list[Tensor], draw: torch.Generator) -> None:
        self._parts, self.draw = parts, draw
        self.beats = max(map(len, parts))

    def __len__(self) -> int:
        return len(self._parts)

    def next(self) -> Tensor:
        """(networks, beats) row numbers."""
        return torch.stack([self._order(rows) for rows in self._parts])

    def _order(self, rows: Tensor) -> Tensor:
        turns = math.ceil(self.beats / len(rows))
        return torch.cat([rows[torch.randperm(len(rows), generator=self.draw)] for _ in range(turns)])[: self.beats]


def _learn(bank: Bank, shapes: Tensor, orders: _Orders, recipe: Recipe, tick: Tick) -> None:
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
            raise RefusedError(f"training failed: the loss is {total.sum():g}; look at the beats' amplitudes")
        if tick(total[: recipe.network.members].mean().item()):
            return


def _loss(bank: Bank, beats: Tensor, recipe: Recipe, draw: torch.Generator) -> Tensor:
    """Mean absolute error of each network on its own beats (k, n, m): noisy input, clean target."""
    gain = 1 + recipe.gain_sd * torch.randn((*beats.shape[:2], 1), generator=draw)
    target = beats * gain.to(beats.device)
    noisy = target + recipe.noise_sd * torch.randn(beats.shape, generator=draw).to(beats.device)
    if recipe.dropout:
        noisy = noisy * (torch.rand(beats.shape, generator=draw) >= recipe.dropout).to(beats.device)
    loss: Tensor = (bank(noisy) - target).abs().mean((1, 2))
    return loss
