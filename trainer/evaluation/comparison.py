"""The comparison of a model with other detectors: figures on test beats, over several seeds and splits.

Either the model itself is evaluated, or its recipe is used to train again with several seeds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import click
import numpy as np
import torch

from monitor.beats.beat_file import PLAIN, ReadingRules
from monitor.errors import RefusedError
from monitor.model import artifact
from trainer import progress
from trainer.data import plausibility, split
from trainer.evaluation import contenders, tutorial
from trainer.evaluation.contenders import Contender
from trainer.evaluation.figures import figures
from trainer.fitting import cross_fitting, overlap, preparation, recipe, scoring
from trainer.threshold import conformal, sweep
from trainer.threshold.conformal import Budget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.model.manifest import Figures, Model
    from trainer.data.datasets import DatasetPart

DETECTORS = 4  # the autoencoder and what it is compared with
MEASURES = (
    "auc", "average_precision", "tpr_at_1_percent_fpr", "tpr_at_5_percent_fpr", "accuracy", "precision", "recall",
    "f1", "false_positive_rate", "normal_precision", "normal_recall",
)  # fmt: skip
HEADS = ("AUC", "AP", "TPR@1%", "TPR@5%", "accuracy", "precision", "recall", "F1", "FPR")


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """What to evaluate: the model itself, or models that are trained again by its recipe, one for each seed."""

    data: Path
    split: str | None = None
    seeds: int = 1
    rules: ReadingRules = PLAIN

    @property
    def retrains(self) -> bool:
        """Whether models are trained again. A split or more than one seed asks for it."""
        return self.split is not None or self.seeds > 1


@dataclass(frozen=True, slots=True)
class Spread:
    """One measure: its mean, minimum and maximum over the seeds."""

    mean: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Result:
    """The measures of one detector. Abnormal is the positive class, except in the measures named normal_."""

    detector: str
    measures: Mapping[str, Spread]
    class_recall: Mapping[str, Spread]


def compare(model_file: Path, task: EvaluationTask, json_file: Path | None, *, show_sweep: bool) -> list[Result]:
    """Evaluate all detectors, print the table, and write the JSON file.

    Raises ArtifactError or RefusedError if the model, the beats or the JSON file cannot be used.
    """
    torch.set_num_threads(1)
    model = artifact.load(model_file, "cpu")
    runs: dict[str, list[Mapping[str, float]]] = {}
    table = ""
    for seed in range(task.seeds):
        train, test = _parts(task, seed)
        if not task.retrains:
            overlap.refuse_test(model, task.data, train, test)
        names = split.class_names(test, split.classes(task.data, task.rules))
        for contender, scores in _scored(_contenders(model, task, train, seed), test, seed):
            runs.setdefault(contender.name, []).append(_measured(contender, scores, test, names))
            if show_sweep and not table:  # of the autoencoder, which comes first
                table = sweep.table(sweep.sweep(scores, test.abnormal))
    if table:
        click.echo(table)
    results = [_result(name, rows) for name, rows in runs.items()]
    _print(task, results, _thresholds(model, task))
    ours = results[0].measures
    plausibility.warn_of_recall(ours["recall"].mean)
    plausibility.warn_of_misfit(ours["false_positive_rate"].mean, model.manifest.window.cut)
    _write(task, results, json_file)
    return results


def _scored(
    all_contenders: Iterable[Contender], test: DatasetPart, seed: int
) -> Iterator[tuple[Contender, NDArray[np.float32]]]:
    """Each contender with its scores (n,) of the test part. Shows its progress."""
    with progress.phase(f"comparison with seed {seed}", DETECTORS, "detector") as tick:
        for contender in all_contenders:
            yield contender, contender.score(test.samples)
            tick(contender.name)


def _parts(task: EvaluationTask, seed: int) -> tuple[DatasetPart, DatasetPart]:
    """The training part and the test part, without beats that the monitor would not score or that repeat others."""
    train, test = split.split(task.split or split.OFFICIAL, task.data, seed, task.rules)
    train, test = preparation.separated(preparation.scorable(train, "training"), preparation.scorable(test, "test"))
    if not test.abnormal.any() or test.abnormal.all():
        raise RefusedError(f"{task.data}: the test part must have labelled beats, both normal and abnormal")
    normals = len(train.normal_samples)
    preparation.require_normals(task.data, normals, "train on")
    click.echo(f"seed {seed}: {normals:,} normal beats to train on", err=True)
    return train, test


def _contenders(model: Model, task: EvaluationTask, train: DatasetPart, seed: int) -> Iterator[Contender]:
    """The autoencoder and what it is compared with, fitted on the training part."""
    chosen = budget(model, task)
    yield (
        _retrained(model, train, seed, chosen)
        if task.retrains
        else Contender(contenders.AUTOENCODER, partial(scoring.scores, model), model.manifest.threshold.value)
    )
    yield from contenders.simple(train, chosen)
    yield Contender(tutorial.NAME, *tutorial.fit(train, seed))


def _retrained(model: Model, train: DatasetPart, seed: int, chosen: Budget) -> Contender:
    """A new model by the recipe of `model`, trained with this seed, with a threshold by the budget."""
    settings = recipe.of(model.manifest, seed).suited(len(train.normal_samples))
    fitted = cross_fitting.fitted(train, settings, "cpu")
    threshold = conformal.threshold(fitted.calibration, chosen).value
    return Contender(contenders.AUTOENCODER, partial(scoring.scores, fitted.detector), threshold)


def budget(model: Model, task: EvaluationTask) -> Budget:
    """The false-alarm budget for the comparison: the model's own, or the default one if its rule has no budget.

    When models are trained again, only a rate that a person chose is kept. A default rate is decided again, because it
    depends on the number of training beats.
    """
    threshold = model.manifest.threshold
    if not threshold.confidence:
        return Budget()
    kept = not task.retrains or "false_alarm_rate_by_hand" in model.manifest.training
    return Budget(threshold.false_alarm_rate if kept else None, threshold.confidence)


def _measured(
    contender: Contender, scores: NDArray[np.float32], test: DatasetPart, names: NDArray[np.str_]
) -> Mapping[str, float]:
    """Every measure of one run, and the recall of each class of abnormal beats under the name of the class."""
    found = figures(contender.name, scores, test.abnormal, contender.threshold)
    flagged = scores > np.float32(contender.threshold)
    classes = {name: float(flagged[names == name].mean()) for name in split.CLASSES.values() if (names == name).any()}
    return _numbers(found) | _derived(found, flagged, test.abnormal) | classes


def _numbers(found: Figures) -> dict[str, float]:
    return {name: value for name, value in asdict(found).items() if isinstance(value, float)}


def _derived(found: Figures, flagged: NDArray[np.bool_], abnormal: NDArray[np.bool_]) -> dict[str, float]:
    precision = found.precision or 0.0
    total = precision + found.recall
    return {
        "f1": 2 * precision * found.recall / total if total else 0.0,
        "normal_precision": float((~abnormal[~flagged]).mean()) if not flagged.all() else 0.0,
        "normal_recall": 1 - found.false_positive_rate,
    }


def _result(detector: str, rows: list[Mapping[str, float]]) -> Result:
    def spread(names: tuple[str, ...]) -> Mapping[str, Spread]:
        columns = {name: [row[name] for row in rows if name in row] for name in names}
        return {name: Spread(float(np.mean(c)), min(c), max(c)) for name, c in columns.items() if c}

    return Result(detector, spread((*MEASURES, "threshold")), spread(tuple(split.CLASSES.values())))


def _thresholds(model: Model, task: EvaluationTask) -> str:
    """How the thresholds were chosen, in words."""
    threshold, chosen = model.manifest.threshold, budget(model, task)
    rate = "default rate" if chosen.false_alarm_rate is None else f"{chosen.false_alarm_rate:.1%}"
    by_budget = f"a false-alarm budget ({rate}, confidence {chosen.confidence:g})"
    if threshold.confidence:
        return by_budget
    if task.retrains:
        return f"{by_budget}; the model's own rule ({threshold.rule}) is not applied again"
    return f"the model's own rule ({threshold.rule}), for the other detectors {by_budget}"


def _print(task: EvaluationTask, results: list[Result], thresholds: str) -> None:
    seeds = "1 seed" if task.seeds == 1 else f"{task.seeds} seeds"
    how = f"trained again with {seeds}" if task.retrains else "the model as it is"
    click.echo(f"Split: {task.split or 'the training part and test part of the data'}. Autoencoder: {how}.")
    click.echo(f"Thresholds: {thresholds}; {tutorial.NAME}: its own rule.")
    click.echo("Abnormal is the positive class; FPR is the share of normal beats that are flagged.")
    click.echo(f"{'detector':<20}" + "".join(f"{head:>10}" for head in HEADS))
    for result in results:
        for over_seeds in ("mean", "min", "max") if task.seeds > 1 else ("mean",):
            values = [getattr(result.measures[name], over_seeds) for name in MEASURES[:9] if name in result.measures]
            click.echo(f"{result.detector + ' ' + over_seeds:<20}" + "".join(f"{value:>10.4f}" for value in values))
        click.echo(_classes(result))


def _write(task: EvaluationTask, results: list[Result], json_file: Path | None) -> None:
    if json_file is not None:
        found = {
            "data": task.data.name,
            "split": task.split,
            "seeds": task.seeds,
            "detectors": [asdict(result) for result in results],
        }
        try:
            json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise RefusedError(f"{json_file}: cannot be written: {error.strerror}") from error


def _classes(result: Result) -> str:
    """The line under a detector: its figures with normal as the positive class, and the recall of each class."""
    normal = f"normal as positive class: precision {result.measures['normal_precision'].mean:.3f}, "
    recalls = [f"{name} {spread.mean:.3f}" for name, spread in result.class_recall.items()]
    found = f"    {normal}recall {result.measures['normal_recall'].mean:.3f}"
    return found + (f"; share found of {', '.join(recalls)}" if recalls else "")
