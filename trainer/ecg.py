"""The straight line of `ecg-trainer ecg`: read, fit, calibrate, evaluate, export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import click
import torch

from monitor import artifact
from monitor.errors import RefusedError
from trainer import calibrate, data, evaluate, export, progress, train
from trainer.rule import Rule
from trainer.sweep import bedside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from monitor.model import Detector, Evaluation, Limit, Model
    from trainer.data import Dataset, Part
    from trainer.evaluate import Scoring
    from trainer.recipe import Recipe

MIN_NORMALS = 30
BUDGET = Rule()


@dataclass(frozen=True, slots=True)
class Target:
    """Where the model goes, and the folder of its report when one is wanted."""

    model: Path
    report: Path | None = None


def main(source: Path, target: Target, recipe: Recipe, device: str, rule: Rule = BUDGET) -> Model:
    """Train on the normal beats of `source`, write the model and, when asked to, a report.

    Raises RefusedError when the beats, the device or the place to write to cannot be used.
    """
    torch.set_num_threads(1)  # sums in one order: same seed, same bytes
    dataset = _prepared(source)
    normals = dataset.train.normal_samples
    recipe = recipe.suited(len(normals))
    abnormal = dataset.train.samples[dataset.train.abnormal]
    if rule.needs_labels and not len(abnormal):
        raise RefusedError(f"{source}: the threshold rule {rule.kind} takes labelled abnormal beats; there are none")
    losses: list[float] = []
    detector, scores = fitted(normals, recipe, device, losses.append)
    calibration = calibrate.calibration(scores)
    limit = rule.limit(calibration, train.scores(detector, abnormal))  # no network ever learnt from these
    evaluation = _evaluated(dataset, lambda samples: train.scores(detector, samples), limit, rule.budget)
    model = export.model(detector, recipe, dataset, calibration, limit, evaluation)
    artifact.save(target.model, model)
    _tell(model, target.model)
    if target.report is not None:
        from trainer import report  # noqa: PLC0415 - drawing takes a second to import

        click.echo(f"wrote {report.write(target.report, model, dataset, losses)}")
    return model


def fitted(
    normals: NDArray[np.float32], recipe: Recipe, device: str, heard: Callable[[float], None] = lambda _: None
) -> tuple[Detector, NDArray[np.float32]]:
    """A detector, and the cross-fitted scores of its own beats; `heard` gets the loss of each of its epochs."""
    length = train.passes(len(normals), 1, recipe) + train.passes(len(normals), calibrate.FOLDS, recipe)
    with progress.bar(length) as tick:

        def fit(parts: list[NDArray[np.int64]]) -> list[Scoring]:
            return [partial(train.scores, each) for each in train.detectors(normals, parts, recipe, device, tick)]

        def tick_and_tell(loss: float) -> None:
            tick(loss)
            heard(loss)

        detector = train.detector(normals, recipe, device, tick_and_tell)
        return detector, calibrate.cross_fit_together(normals, fit, recipe.seed)


def _prepared(source: Path) -> Dataset:
    """The beats without those that the monitor would not score, and said aloud what was assumed about them."""
    dataset = data.read(source)
    for note in dataset.notes:
        click.echo(note)
    learnt = _scorable(dataset.train, "training")
    normals = len(learnt.normal_samples)
    if normals < MIN_NORMALS:
        raise RefusedError(f"{source}: {normals} normal beats to learn from, where at least {MIN_NORMALS} are needed")
    judged = None if dataset.test is None else _scorable(dataset.test, "test")
    click.echo(f"{dataset.name}: {normals:,} normal beats to learn from")
    return replace(dataset, train=learnt, test=judged)


def _scorable(part: Part, name: str) -> Part:
    kept = train.scorable(part.samples)
    if not kept.all():
        click.echo(f"{int((~kept).sum()):,} {name} beats are flat or saturated and left out")
    return part.only(kept)


def _evaluated(dataset: Dataset, ours: Scoring, limit: Limit, budget: calibrate.Budget) -> Evaluation | None:
    test = dataset.test
    if test is None or test.abnormal.all() or not test.abnormal.any():
        click.echo("no evaluation: it takes labelled beats of both kinds beside those learnt from")
        return None
    split = dataset.name if dataset.name == data.OFFICIAL_NAME else f"{dataset.name}, last beats of each kind"
    return evaluate.evaluate(split, ours, limit.value, dataset.train, test, budget)


def _tell(model: Model, out: Path) -> None:
    manifest = model.manifest
    if manifest.evaluation is not None:
        found = manifest.evaluation
        click.echo(
            f"{found.normals:,} normal and {found.abnormals:,} abnormal beats to judge by, at thresholds by one rule:"
        )
        click.echo(evaluate.table(found))
    limit = manifest.threshold
    click.echo(calibrate.sentence(limit))
    click.echo(
        f"{'within the budget' if limit.confidence else 'on the training beats'}, {bedside(limit.false_alarm_rate)}"
    )
    click.echo(f"wrote {out} (model {manifest.model_id})")
