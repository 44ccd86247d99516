"""The straight line of `ecg-trainer evaluate`: figures over seeds and splits, beside what is simple and published."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click
import numpy as np
import torch

from monitor.errors import RefusedError
from monitor.model import artifact
from trainer import destination
from trainer.commands import ecg
from trainer.data import split
from trainer.evaluation import evaluate, overlap, tutorial
from trainer.fitting import recipe, train
from trainer.threshold import calibrate, sweep
from trainer.threshold.calibrate import Budget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.model.manifest import Figures, Model
    from trainer.data.dataset import DatasetPart
    from trainer.evaluation.evaluate import Contender

MEASURES = (
    "auc", "average_precision", "tpr_at_1_percent_fpr", "tpr_at_5_percent_fpr", "accuracy", "precision", "recall",
    "f1", "false_positive_rate", "normal_precision", "normal_recall",
)  # fmt: skip
HEADS = ("AUC", "AP", "TPR@1%", "TPR@5%", "accuracy", "precision", "recall", "F1", "FPR")


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """What is to be judged: the model itself, or its recipe learnt anew on a split with so many seeds."""

    data: Path
    split: str | None = None
    seeds: int = 1

    @property
    def retrains(self) -> bool:
        return self.split is not None or self.seeds > 1


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure over the seeds."""

    mean: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Result:
    """One detector over the seeds; abnormal is the positive class, except in the measures named normal_."""

    detector: str
    measures: Mapping[str, Spread]
    class_recall: Mapping[str, Spread]


def main(model_file: Path, task: EvaluationTask, json_file: Path | None, *, show_sweep: bool) -> list[Result]:
    """Judge, print the table, and write the JSON. Raises ArtifactError or RefusedError when that cannot be done."""
    torch.set_num_threads(1)
    destination.probe(json_file)
    model = artifact.load(model_file, "cpu")
    runs: dict[str, list[Mapping[str, float]]] = {}
    for seed in range(task.seeds):
        learnt, test = _parts(task, seed)
        if not task.retrains:
            overlap.refuse_test(model, task.data, learnt, test)
        names = split.class_names(test, split.classes(task.data))
        for contender in _contenders(model, task, learnt, seed):
            scores = contender.score(test.samples)
            runs.setdefault(contender.name, []).append(_measured(contender, scores, test, names))
            if show_sweep and not seed and contender.name == evaluate.AUTOENCODER:
                click.echo(sweep.table(sweep.sweep(scores, test.abnormal)))
    results = [_result(name, rows) for name, rows in runs.items()]
    _tell(task, results, _thresholds(model, task))
    _write(task, results, json_file)
    return results


def _parts(task: EvaluationTask, seed: int) -> tuple[DatasetPart, DatasetPart]:
    """Training and test beats, of those that the monitor would score."""
    learnt, test = (
        part.only(train.scorable(part.samples)) for part in split.split(task.split or split.OFFICIAL, task.data, seed)
    )
    if not test.abnormal.any() or test.abnormal.all():
        raise RefusedError(f"{task.data}: it takes labelled beats of both kinds to judge by")
    normals, least = len(learnt.normal_samples), calibrate.MIN_NORMALS
    if normals < least:
        raise RefusedError(f"{task.data}: {normals} normal beats to learn from, where at least {least} are needed")
    click.echo(f"seed {seed}: {normals:,} normal beats to learn from", err=True)
    return learnt, test


def _contenders(model: Model, task: EvaluationTask, learnt: DatasetPart, seed: int) -> Iterator[Contender]:
    chosen = budget(model, task)
    yield (
        _retrained(model, learnt, seed, chosen)
        if task.retrains
        else evaluate.Contender(
            evaluate.AUTOENCODER, lambda samples: train.scores(model, samples), model.manifest.threshold.value
        )
    )
    yield from evaluate.simple(learnt.normal_samples, chosen)
    yield evaluate.Contender(tutorial.NAME, *tutorial.fit(learnt, seed))


def _retrained(model: Model, learnt: DatasetPart, seed: int, chosen: Budget) -> Contender:
    told = recipe.of(model.manifest, seed).suited(len(learnt.normal_samples))
    fitted = ecg.fitted(learnt.normal_samples, told, "cpu")
    limit = calibrate.limit(fitted.calibration, chosen)
    return evaluate.Contender(evaluate.AUTOENCODER, lambda samples: train.scores(fitted.detector, samples), limit.value)


def budget(model: Model, task: EvaluationTask) -> Budget:
    """The model's own, though a default rate follows the number of beats learnt from; else the default budget."""
    limit = model.manifest.threshold
    if not limit.confidence:
        return Budget()
    kept = not task.retrains or "false_alarm_rate_by_hand" in model.manifest.training
    return Budget(limit.false_alarm_rate if kept else None, limit.confidence)


def _measured(
    contender: Contender, scores: NDArray[np.float32], test: DatasetPart, names: NDArray[np.str_]
) -> Mapping[str, float]:
    """Every measure of one run, the recall of each class under its name."""
    found = evaluate.figures(contender.name, scores, test.abnormal, contender.threshold)
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
    """Which rule the thresholds are by."""
    limit, chosen = model.manifest.threshold, budget(model, task)
    rate = "the default" if chosen.false_alarm_rate is None else f"{chosen.false_alarm_rate:.1%}"
    by_budget = f"a false-alarm budget ({rate}, confidence {chosen.confidence:g})"
    if limit.confidence:
        return by_budget
    if task.retrains:
        return f"{by_budget}; the model's own rule ({limit.rule}) is not learnt anew"
    return f"the model's own rule ({limit.rule}), of the others {by_budget}"


def _tell(task: EvaluationTask, results: list[Result], thresholds: str) -> None:
    how = f"learnt anew, {task.seeds} seeds" if task.retrains else "the model as it is"
    click.echo(f"split {task.split or 'of the data'}; {how}; abnormal is the positive class")
    click.echo(f"thresholds by {thresholds}; {tutorial.NAME} by its own rule")
    click.echo(f"{'detector':<20}" + "".join(f"{head:>10}" for head in HEADS))
    for result in results:
        for part in ("mean", "min", "max") if task.seeds > 1 else ("mean",):
            values = [getattr(result.measures[name], part) for name in MEASURES[:9] if name in result.measures]
            click.echo(f"{result.detector + ' ' + part:<20}" + "".join(f"{value:>10.4f}" for value in values))
        click.echo(_classes(result))


def _write(task: EvaluationTask, results: list[Result], json_file: Path | None) -> None:
    if json_file is not None:
        found = asdict(task) | {"data": task.data.name, "detectors": [asdict(result) for result in results]}
        try:
            json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise RefusedError(f"{json_file}: cannot be written: {error.strerror}") from error


def _classes(result: Result) -> str:
    normal = f"normal as positive: precision {result.measures['normal_precision'].mean:.3f}, "
    recalls = [f"{name} {spread.mean:.3f}" for name, spread in result.class_recall.items()]
    return f"    {normal}recall {result.measures['normal_recall'].mean:.3f}" + "".join(f"; {each}" for each in recalls)
