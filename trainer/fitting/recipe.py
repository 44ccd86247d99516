"""The recipe: every setting that a training depends on. The reasons for the values are in `docs/experiments.md`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from monitor.errors import RefusedError
from monitor.model.manifest import ScoreConfig
from monitor.model.network import NetworkConfig
from trainer.fitting.projection import Shaping
from trainer.options import number

if TYPE_CHECKING:
    from monitor.model.manifest import Manifest

STEPS = 6000
STEPS_FOR_PEOPLE = 1500  # more steps help new beats of the same people, not new people: docs/experiments.md
MANY_BEATS = 1000  # above this, larger batches and less weight decay are better: docs/experiments.md
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
    """The settings of one training. `None` for the epochs means as many as make about `steps` steps."""

    network: NetworkConfig = DEFAULT
    score: ScoreConfig = SCORE
    shaping: Shaping = field(default_factory=Shaping)
    epochs: int | None = None
    steps: int = STEPS
    seed: int = 0
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 50
    final_rate: float = 0.01  # the cosine ends at this share of the learning rate
    noise_sd: float = 0.1  # Gaussian noise added to each input sample, in standard deviations of the beat
    dropout: float = 0.0  # share of the input samples that are set to 0
    gain_sd: float = 0.1  # spread of a random factor by which input and target of a beat are both multiplied

    def suited(self, beats: int, *, people: bool = False) -> Recipe:
        """The recipe for this number of beats: with many beats, larger batches and less weight decay.

        `people`: the beats are of several people, and the model is for others; then fewer steps do.
        """
        batch, weight_decay = (64, 0.1) if beats > MANY_BEATS else (16, 0.3)
        return replace(self, batch=batch, weight_decay=weight_decay, steps=STEPS_FOR_PEOPLE if people else STEPS)

    def epochs_for(self, beats: int) -> int:
        """Number of passes over this number of beats."""
        if self.epochs is not None:
            return self.epochs
        return math.ceil(self.steps / self.batches(beats))

    def batches(self, beats: int) -> int:
        """Number of steps in one pass over this number of beats."""
        return math.ceil(beats / self.batch)

    def rate(self, step: int, steps: int) -> float:
        """The share of the learning rate that is used at a step: a linear warm-up, then half a cosine down."""
        warmup = min(self.warmup_steps, steps // 10)
        if step < warmup:
            return (step + 1) / warmup
        turn = math.cos(math.pi * (step - warmup) / max(1, steps - warmup))
        return self.final_rate + (1 - self.final_rate) * (1 + turn) / 2


def chosen(network: str, noise: str | None, *, epochs: int | None, seed: int) -> Recipe:
    """The recipe for the command line's options. Raises RefusedError if `noise` cannot be understood."""
    recipe = Recipe(NETWORKS[network], epochs=epochs, seed=seed)
    return recipe if noise is None else _noisy(recipe, noise)


def of(manifest: Manifest, seed: int) -> Recipe:
    """The recipe that a model was trained with, but with this seed. What its file lacks has today's default."""
    settings: dict[str, Any] = dict(manifest.training)
    names = {each.name for each in fields(Recipe)} - {"network", "score", "shaping", "betas", "seed", "epochs", "steps"}
    shaping = replace(
        Shaping(), **{each.name: settings[each.name] for each in fields(Shaping) if each.name in settings}
    )
    by_hand = {"epochs": settings["epochs"]} if settings.get("epochs_by_hand") else {}
    kept = {name: settings[name] for name in names if name in settings}
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
        f"noise {noise!r} is unknown: write none, gaussian:S (S from 0 to {MAX_NOISE_SD:g}) "
        f"or dropout:P (P from 0 to below 1)"
    )
