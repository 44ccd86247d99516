"""Fit a detector on normal beats: noisy input, clean target, mean absolute error, AdamW with a cosine schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from monitor.errors import RefusedError
from monitor.model import Detector, ScoreConfig
from monitor.network import NetworkConfig, build, resolve
from monitor.scorer import SCORED, Scorer, normalise
from trainer.projection import Shaping, projection

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

STEPS = 1500
STEPS_OF_MANY = 3000
MANY_BEATS = 1000
SCORING_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a fit depends on beside the beats; `docs/experiments.md` says why it is so."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    shaping: Shaping = field(default_factory=Shaping)
    epochs: int | None = None  # None: as many as make STEPS
    seed: int = 0
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 50
    final_rate: float = 0.01  # share of the learning rate that the cosine ends at
    noise_sd: float = 0.3  # added to each input sample, in sd of the beat
    gain_sd: float = 0.1  # one factor a beat, on input and target alike

    def epochs_for(self, beats: int) -> int:
        """Passes over so many beats."""
        if self.epochs is not None:
            return self.epochs
        return math.ceil((STEPS_OF_MANY if beats > MANY_BEATS else STEPS) / self.batches(beats))

    def batches(self, beats: int) -> int:
        return math.ceil(beats / self.batch)

    def rate(self, step: int, steps: int) -> float:
        """Share of the learning rate at a step: a linear warm-up, then half a cosine."""
        warmup = min(self.warmup_steps, steps // 10)
        if step < warmup:
            return (step + 1) / warmup
        turn = math.cos(math.pi * (step - warmup) / max(1, steps - warmup))
        return self.final_rate + (1 - self.final_rate) * (1 + turn) / 2


def detector(
    samples: NDArray[np.float32], recipe: Recipe, device: str = "cpu", tick: Callable[[float], None] = lambda _: None
) -> Detector:
    """A detector fitted on normal beats (n, 140) in any unit; it comes back on the CPU."""
    shapes = normalise(torch.from_numpy(samples).to(resolve(device)), recipe.score.pool).pooled
    network = fit(shapes, recipe, tick)
    residuals = (shapes - network(shapes)).double().cpu().numpy()
    return Detector(network.cpu(), recipe.score, projection(residuals, recipe.shaping))


def scores(fitted: Detector, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of beats (n, 140) as the monitor will give them; NaN for a beat that it would not score."""
    return Scorer(fitted, "cpu", SCORING_BATCH).score(samples).score


def scorable(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which beats (n, 140) the monitor would score at all: those neither flat nor saturated."""
    indifferent = Detector(nn.Identity(), ScoreConfig(), None)
    return np.equal(Scorer(indifferent, "cpu", SCORING_BATCH).score(samples).cause, SCORED)


def fit(shapes: Tensor, recipe: Recipe, tick: Callable[[float], None] = lambda _: None) -> nn.Sequential:
    """A network fitted on normalised beats (n, m); `tick` is called after each epoch with its mean loss.

    Same beats, recipe, machine and versions, one thread: same weights. Raises RefusedError when the loss is not finite.
    """
    draw = torch.Generator().manual_seed(recipe.seed)  # on the CPU, so that a GPU sees the same noise
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = build(recipe.network).to(shapes.device)
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    epochs = recipe.epochs_for(len(shapes))
    steps = epochs * recipe.batches(len(shapes))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: recipe.rate(step, steps))
    for _ in range(epochs):
        order = torch.randperm(len(shapes), generator=draw)
        total = torch.zeros((), device=shapes.device)
        for rows in torch.split(order, recipe.batch):
            loss = _loss(network, shapes[rows.to(shapes.device)], recipe, draw)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
            optimiser.step()
            schedule.step()
            total += loss.detach() * len(rows)
        if not loss.isfinite():
            raise RefusedError(f"training failed: the loss is {loss.item()}; look at the beats' amplitudes")
        tick(float(total) / len(shapes))
    return network.requires_grad_(requires_grad=False).eval()


def _loss(network: nn.Module, beats: Tensor, recipe: Recipe, draw: torch.Generator) -> Tensor:
    gain = 1 + recipe.gain_sd * torch.randn((len(beats), 1), generator=draw)
    noise = recipe.noise_sd * torch.randn(beats.shape, generator=draw)
    target = beats * gain.to(beats.device)
    return functional.l1_loss(network(target + noise.to(beats.device)), target)
