"""The model with everything that it says about itself, ready to be saved."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.model.manifest import (
    GOLDEN_BEATS,
    SCHEMA,
    Evaluation,
    Golden,
    Manifest,
    Model,
    Origin,
    ThresholdSpec,
    Window,
)
from monitor.model.sealed_file import UNSEALED
from trainer.data import dataset as data
from trainer.fitting import train

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.model.manifest import Detector
    from trainer.data.dataset import Dataset
    from trainer.fitting.recipe import Recipe
    from trainer.fitting.train import Fitted
    from trainer.threshold.calibrate import Budget
    from trainer.threshold.rule import ThresholdRule

TOOLS = ("ecg-monitor", "numpy", "safetensors", "scikit-learn", "torch")


def model(
    fitted: Fitted,
    recipe: Recipe,
    dataset: Dataset,
    rule: ThresholdRule,
    limit: ThresholdSpec,
    evaluation: Evaluation | None,
) -> Model:
    """A model that any monitor can prove. It holds no time and no name of a machine: same input, same bytes."""
    detector = fitted.detector
    manifest = Manifest(
        schema=SCHEMA,
        digest=UNSEALED,
        model_id=detector.identity(recipe.network),
        network=recipe.network,
        score=recipe.score,
        window=Window(SAMPLES, dataset.nominal_hz, dataset.source),
        threshold=limit,
        evaluation=evaluation,
        data=_origin(dataset),
        training=_training(recipe, fitted) | by_hand(rule.budget),
        versions={"python": platform.python_version()} | {tool: version(tool) for tool in TOOLS},
        golden=_golden(detector, dataset.train.samples),
        calibration=tuple(fitted.calibration.tolist()),
    )
    return Model(detector.network, detector.score, detector.projection, detector.prototypes, manifest=manifest)


def _origin(dataset: Dataset) -> Origin:
    abnormals = int(dataset.train.abnormal.sum())
    print_ = data.fingerprint(dataset.train)
    return Origin(dataset.name, print_, len(dataset.train) - abnormals, abnormals)


def by_hand(budget: Budget) -> dict[str, int]:
    """What is noted of a false-alarm rate that a person asked for; a default one follows the number of beats."""
    return {} if budget.false_alarm_rate is None else {"false_alarm_rate_by_hand": 1}


def _training(recipe: Recipe, fitted: Fitted) -> dict[str, int | float | str]:
    told = {name: value for name, value in asdict(recipe).items() if isinstance(value, int | float)}
    shaping = asdict(recipe.shaping)
    notes = {} if recipe.epochs is None else {"epochs_by_hand": 1}
    notes |= {"interrupted": 1} if fitted.interrupted else {}
    return told | shaping | notes | {"epochs": len(fitted.losses), "loss": "mean absolute error", "optimiser": "AdamW"}


def _golden(detector: Detector, samples: NDArray[np.float32]) -> Golden:
    """Training beats from the lowest score to the highest in equal steps of rank."""
    scores = train.scores(detector, samples)
    chosen = np.argsort(scores, kind="stable")[np.linspace(0, len(scores) - 1, GOLDEN_BEATS).astype(np.int64)]
    return Golden(tuple(map(tuple, samples[chosen].tolist())), tuple(train.scores(detector, samples[chosen]).tolist()))
