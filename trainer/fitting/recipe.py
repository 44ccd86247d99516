"""Everything that a fit depends on beside the beats; `docs/experiments.md` says why it is so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from monitor.errors import RefusedError
from monitor.model.manifest import ScoreConfig
from monitor.model.network import NetworkConfig
from trainer.fitting.projection import Shaping

if TYPE_CHECKING:
    from monitor.model.manifest import Manifest

STEPS = 6000
MANY_BEATS = 1000  # of which more can be learnt: docs/experiments.md
DEFAULT = NetworkConfig("stacked", (70, 64, 32, 16))
NETWORKS = {
    "plain": NetworkConfig("plain", (70, 16), members=2),
    "stacked": DEFAULT,
    "conv": NetworkConfig("conv", (70, 16, 8)),
}
SCORE = ScoreConfig(window=14, prototypes=4)
MAX_NOISE_SD = 10.0


@dataclass(frozen=True, slots=True)
class Recipe:
    network: NetworkConfig = DEFAULT
    score: ScoreConfig = SCORE
    shaping: Shaping = field(default_factory=Shaping)
    epochs: int | None = None  # None: as many as make STEPS
    seed: int = 0
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 50
    final_rate: float = 0.01  # share of the learning rate that the cosine ends at
    noise_sd: float = 0.1  # Gaussian, added to each input sample, in sd of the beat
    dropout: float = 0.0  # share of input samples set to 0
    gain_sd: float = 0.1  # one factor a beat, on input and target alike

    def suited(self, beats: int) -> Recipe:
        """The same for so many beats: of many it learns in larger batches and is held back less."""
        batch, weight_decay = (64, 0.1) if beats > MANY_BEATS else (16, 0.3)
        return replace(self, batch=batch, weight_decay=weight_decay)

    def epochs_for(self, beats: int) -> int:
        """Passes over so many beats."""
        if self.epochs is not None:
            return self.epochs
        return math.ceil(STEPS / self.batches(beats))

    def batches(self, beats: int) -> int:
        return math.ceil(beats / self.batch)

    def rate(self, step: int, steps: int) -> float:
        """Share of the learning rate at a step: a linear warm-up, then half a cosine."""
        warmup = min(self.warmup_steps, steps // 10)
        if step < warmup:
            return (step + 1) / warmup
        turn = math.cos(math.pi * (step - warmup) / max(1, steps - warmup))
        return self.final_rate + (1 - self.final_rate) * (1 + turn) / 2


def chosen(network: str, noise: str | None, *, epochs: int | None, seed: int) -> Recipe:
    """The recipe that a person asked for. Raises RefusedError when the noise makes no sense."""
    recipe = Recipe(NETWORKS[network], epochs=epochs, seed=seed)
    return recipe if noise is None else _noisy(recipe, noise)


def of(manifest: Manifest, seed: int) -> Recipe:
    """The recipe that a model was made by, with another seed; what its file does not say is as it is now."""
    told: dict[str, Any] = dict(manifest.training)
    names = {each.name for each in fields(Recipe)} - {"network", "score", "shaping", "betas", "seed", "epochs"}
    shaping = replace(Shaping(), **{each.name: told[each.name] for each in fields(Shaping) if each.name in told})
    by_hand = {"epochs": told["epochs"]} if told.get("epochs_by_hand") else {}
    kept = {name: told[name] for name in names if name in told}
    return replace(Recipe(manifest.network, manifest.score, shaping, seed=seed), **kept, **by_hand)


def _noisy(recipe: Recipe, noise: str) -> Recipe:
    kind, _, amount = noise.partition(":")
    if noise == "none":
        return replace(recipe, noise_sd=0.0, dropout=0.0)
    if kind == "gaussian" and 0 <= number(amount) <= MAX_NOISE_SD:
        return replace(recipe, noise_sd=number(amount), dropout=0.0)
    if kind == "dropout" and 0 <= number(amount) < 1:
        return replace(recipe, noise_sd=0.0, dropout=number(amount))
    raise RefusedError(
        f"noise {noise!r} is unknown, where none, gaussian:S (S from 0 to {MAX_NOISE_SD:g}) "
        f"or dropout:P (P from 0 to below 1) are expected"
    )


def number(text: str) -> float:
    """What a person wrote as a number; NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
