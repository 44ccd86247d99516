"""The training loop of a denoiser. Each batch gets new noise; the weights of the best epoch are kept.

The loss is the mean square error. Adam and, for inner convolutions, Muon minimise it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from monitor.errors import RefusedError
from trainer.denoiser.muon import Muon
from trainer.denoiser.network import DenoiserConfig, apply, build, inner_weights, of_any_size
from trainer.denoiser.noise import Corruption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    AddNoise = Callable[[Tensor], Tensor]

Precision = Literal["float32", "bfloat16"]

VALIDATION_SEED = 2**31  # larger than any --seed, so no training draws the noise of the validation
VALIDATION_BATCH = 500
MUON_RATE = 0.02


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """Every setting that a training depends on. `docs/experiments.md` has the measurements behind the values."""

    config: DenoiserConfig = field(default_factory=DenoiserConfig)
    corruption: Corruption = field(default_factory=Corruption)
    epochs: int = 10
    seed: int = 0
    batch: int = 32
    precision: Precision = "float32"

    @property
    def learning_rate(self) -> float:
        return 5e-3 if self.config.network == "best" else 1e-3

    def batches(self, pictures: int) -> int:
        """Number of steps in one pass over this number of pictures."""
        return math.ceil(pictures / self.batch)

    def rate(self, step: int, steps: int) -> float:
        """The share of the learning rate that is used at a step. Classic: always 1. Best: a warm-up, then down to 0."""
        if self.config.network == "classic":
            return 1.0
        return min(1.0, 20 * (step + 1) / steps) * (1 - step / steps)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the pictures: mean square errors, and CPU seconds since the start of the training."""

    training: float
    validation: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A trained network with the weights of its best epoch, on the CPU, and the errors of all epochs."""

    network: nn.Module
    curve: tuple[Epoch, ...]
    interrupted: bool

    @property
    def best(self) -> int:
        """The number of the epoch that the weights are from. The first epoch has number 0."""
        return min(range(len(self.curve)), key=lambda epoch: self.curve[epoch].validation)


@dataclass(frozen=True, slots=True)
class _Trainee:
    """A network that is being trained, with its optimisers."""

    network: nn.Module
    schedules: tuple[torch.optim.lr_scheduler.LambdaLR, ...]
    device: torch.device
    precision: torch.dtype
    stopped: Callable[[], bool]

    def epoch(self, batches: Iterable[NDArray[np.uint8]], add_noise: AddNoise, tick: Callable[[float], None]) -> float:
        """Train on the batches until they end or `stopped` returns True. Returns the mean loss."""
        total, steps = 0.0, 0
        for batch in batches:
            clean = _values(batch).to(self.device)
            total += self._step(clean, add_noise(clean))
            steps += 1
            tick(total / steps)
            if self.stopped():
                break
        return total / steps

    def _step(self, clean: Tensor, noisy: Tensor) -> float:
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            found = of_any_size(self.network, noisy.to(memory_format=torch.channels_last))
        loss = functional.mse_loss(found.float(), clean)
        self.network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        for schedule in self.schedules:
            schedule.optimizer.step()
            schedule.step()
        return loss.item()


def fit(
    train: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    recipe: ImageRecipe,
    device: torch.device,
    tick: Callable[[float], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Fit:
    """Train a denoiser of pictures (n, c, h, w). `tick` is called with the epoch's mean loss after each batch.

    If `stopped` returns True, the epoch ends there; its weights are validated and may be the best. The same pictures,
    recipe, machine and library versions give the same weights when one thread computes. Raises RefusedError if the
    validation error is not finite.
    """
    draw = torch.Generator().manual_seed(recipe.seed)
    clean, noisy = (part.to(device) for part in held_out(validation, recipe.corruption))
    curve: list[Epoch] = []
    kept: dict[str, Tensor] = {}
    began = time.process_time()
    trainee = _begin(recipe, recipe.epochs * recipe.batches(len(train)), device, stopped)
    while len(curve) < recipe.epochs and not (curve and stopped()):
        order = torch.split(torch.randperm(len(train), generator=draw), recipe.batch)
        loss = trainee.epoch(
            (train[rows.numpy()] for rows in order), lambda clean: recipe.corruption.spoil(clean, draw), tick
        )
        error = functional.mse_loss(denoised(trainee.network, noisy), clean).item()
        if not math.isfinite(error):
            raise RefusedError(f"training failed: the validation error is {error}; try another --seed")
        if not curve or error < min(epoch.validation for epoch in curve):
            kept = {name: tensor.cpu().clone() for name, tensor in trainee.network.state_dict().items()}
        curve.append(Epoch(loss, error, time.process_time() - began))
    network = trainee.network.cpu()
    network.load_state_dict(kept)
    return Fit(network.requires_grad_(requires_grad=False).eval(), tuple(curve), stopped())


def _begin(recipe: ImageRecipe, steps: int, device: torch.device, stopped: Callable[[], bool]) -> _Trainee:
    """A new network with random weights, and its optimisers."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = build(recipe.config).to(device)
    inner = inner_weights(network)
    others = [weight for name, weight in network.named_parameters() if name not in inner]
    optimisers: list[torch.optim.Optimizer] = [torch.optim.Adam(others, recipe.learning_rate)]
    precision = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
    optimisers += [Muon(inner.values(), MUON_RATE, precision)] if inner else []
    schedules = (
        torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: recipe.rate(step, steps)) for optimiser in optimisers
    )
    return _Trainee(network, tuple(schedules), device, precision, stopped)


def precision(config: DenoiserConfig, device: torch.device) -> Precision:
    """The numbers to compute with: bfloat16 for the best network on a CPU that has it, which nearly halves the time."""
    fast = device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    return "bfloat16" if fast and config.network == "best" else "float32"


def held_out(pictures: NDArray[np.uint8], corruption: Corruption) -> tuple[Tensor, Tensor]:
    """Pictures (n, c, h, w) for validation or test: clean, and with noise that is always the same.

    So epochs and networks can be compared.
    """
    clean = _values(pictures)
    return clean, corruption.spoil(clean, torch.Generator().manual_seed(VALIDATION_SEED))


def denoised(network: nn.Module, noisy: Tensor) -> Tensor:
    """The pictures (n, c, h, w), denoised in batches that fit into memory."""
    return torch.cat([apply(network, batch) for batch in torch.split(noisy, VALIDATION_BATCH)])


def _values(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(pictures).float() / 255
