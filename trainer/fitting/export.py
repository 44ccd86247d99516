"""The finished model: the trained detector with the manifest that says how it was made."""

from __future__ import annotations

import platform
from dataclasses import asdict, astuple
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
    WindowSpec,
)
from monitor.model.sealed_file import UNSEALED
from trainer.data import datasets
from trainer.fitting import scoring

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.model.manifest import Detector
    from trainer.data.datasets import Dataset
    from trainer.fitting.cross_fitting import Fitted
    from trainer.fitting.recipe import Recipe
    from trainer.threshold.conformal import Budget

LIBRARIES = ("ecg-monitor", "numpy", "safetensors", "scikit-learn", "torch")


def model(
    fitted: Fitted,
    recipe: Recipe,
    dataset: Dataset,
    budget: Budget,
    threshold: ThresholdSpec,
    evaluation: Evaluation | None,
) -> Model:
    """A model that any monitor can verify. It contains no time and no machine name: the same input, the same bytes."""
    detector = fitted.detector
    manifest = Manifest(
        schema=SCHEMA,
        digest=UNSEALED,
        model_id=detector.identity(),
        network=recipe.network,
        score=recipe.score,
        window=WindowSpec(SAMPLES, dataset.nominal_hz, dataset.source, *astuple(dataset.window)),
        threshold=threshold,
        evaluation=evaluation,
        data=_origin(dataset),
        training=_training(recipe, fitted) | rate_by_hand(budget),
        versions={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        golden=_golden(detector, dataset.train.samples),
        calibration=tuple(fitted.calibration.tolist()),
    )
    return Model(detector.network, detector.score, detector.projection, detector.prototypes, manifest=manifest)


def rate_by_hand(budget: Budget) -> dict[str, int]:
    """The manifest's entry for a false-alarm rate that a person chose. A default rate has none.

    The default follows the number of beats, so it is decided afresh when the model is trained or calibrated again.
    """
    return {} if budget.false_alarm_rate is None else {"false_alarm_rate_by_hand": 1}


def _origin(dataset: Dataset) -> Origin:
    abnormals = int(dataset.train.abnormal.sum())
    fingerprint = datasets.fingerprint(dataset.train)
    return Origin(dataset.name, fingerprint, len(dataset.train) - abnormals, abnormals)


def _training(recipe: Recipe, fitted: Fitted) -> dict[str, int | float | str]:
    numbers = {name: value for name, value in asdict(recipe).items() if isinstance(value, int | float)}
    settings = {name: value for name, value in numbers.items() if name != "steps"}  # the epochs say it
    by_hand = {} if recipe.epochs is None else {"epochs_by_hand": 1}
    interrupted = {"interrupted": 1} if fitted.interrupted else {}
    fixed = {"epochs": len(fitted.losses), "loss": "mean absolute error", "optimiser": "AdamW"}
    return settings | asdict(recipe.shaping) | by_hand | interrupted | fixed


def _golden(detector: Detector, samples: NDArray[np.float32]) -> Golden:
    """Training beats from the lowest score to the highest, in equal steps of rank, with their scores.

    The monitor scores them when it loads the model, and so proves that it computes the same scores.
    """
    scores = scoring.scores(detector, samples)
    chosen = np.argsort(scores, kind="stable")[np.linspace(0, len(scores) - 1, GOLDEN_BEATS).astype(np.int64)]
    of_chosen = scoring.scores(detector, samples[chosen])
    return Golden(tuple(map(tuple, samples[chosen].tolist())), tuple(of_chosen.tolist()))
