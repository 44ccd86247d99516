"""The straight line of `ecg-trainer ecg`: read, fit, calibrate, evaluate, export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import click
import numpy as np
import torch

from monitor.errors import RefusedError
from monitor.model import artifact
from trainer import destination, interrupt, progress
from trainer.commands import export
from trainer.data import dataset as data
from trainer.evaluation import evaluate
from trainer.fitting import train
from trainer.fitting.train import Fitted
from trainer.threshold import calibrate
from trainer.threshold.rule import ThresholdRule
from trainer.threshold.sweep import bedside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.model.manifest import Evaluation, Model, ThresholdSpec
    from trainer.data.dataset import Dataset, DatasetPart
    from trainer.evaluation.evaluate import Scoring
    from trainer.fitting.recipe import Recipe

BUDGET = ThresholdRule()


@dataclass(frozen=True, slots=True)
class Target:
    """Where the model goes, and the folder of its report when one is wanted."""

    model: Path
    report: Path | None = None


def main(source: Path, target: Target, recipe: Recipe, device: str, rule: ThresholdRule = BUDGET) -> Model:
    """Train on the normal beats of `source`, write the model and, when asked to, a report.

    Raises RefusedError when the beats, the device or the place to write to cannot be used.
    """
    torch.set_num_threads(1)  # sums in one order: same seed, same bytes
    destination.probe(target.model, None if target.report is None else target.report / "index.html")
    dataset = _prepared(source)
    normals = dataset.train.normal_samples
    recipe = recipe.suited(len(normals))
    abnormal = dataset.train.samples[dataset.train.abnormal]
    if rule.needs_labels and not len(abnormal):
        raise RefusedError(f"{source}: the threshold rule {rule.kind} takes labelled abnormal beats; there are none")
    with interrupt.heeded() as stopped:
        learnt = fitted(normals, recipe, device, stopped.is_set)
        ours = partial(train.scores, learnt.detector)
        limit = rule.limit(learnt.calibration, ours(abnormal))  # no network ever learnt from these
        evaluation = _evaluated(dataset, ours, limit, rule.budget)
        model = export.model(learnt, recipe, dataset, rule, limit, evaluation)
        artifact.save(target.model, model)
    _tell(model, target.model)
    if target.report is not None:
        from trainer.report import report  # noqa: PLC0415 - drawing takes a second to import

        click.echo(f"wrote {report.write(target.report, model, dataset, learnt.losses)}")
    return model


def fitted(
    normals: NDArray[np.float32], recipe: Recipe, device: str, stopped: Callable[[], bool] = lambda: False
) -> Fitted:
    """A detector of normal beats with its calibration.

    The networks of the folds learn beside its own, so that all have had as many epochs when `stopped` says enough.
    """
    epochs, losses = recipe.epochs_for(len(normals)), list[float]()
    parts = calibrate.others(len(normals), recipe.seed)
    with progress.bar(epochs) as tick:

        def heard(loss: float) -> bool:
            losses.append(loss)
            tick(loss)
            return stopped()

        whole, *folds = train.detectors(normals, [np.arange(len(normals)), *parts], recipe, device, heard)
    interrupted = len(losses) < epochs
    if interrupted:
        click.echo(f"stopped after {len(losses):,} of {epochs:,} epochs; Ctrl-C again writes nothing")
    scores = calibrate.held_out(normals, parts, [partial(train.scores, fold) for fold in folds])
    return Fitted(whole, calibrate.calibration(scores), tuple(losses), interrupted)


def _prepared(source: Path) -> Dataset:
    """The beats without those that the monitor would not score, and said aloud what was assumed about them."""
    dataset = data.read(source)
    for note in dataset.notes:
        click.echo(note)
    learnt = _scorable(dataset.train, "training")
    normals = len(learnt.normal_samples)
    if normals < calibrate.MIN_NORMALS:
        raise RefusedError(
            f"{source}: {normals} normal beats to learn from, where at least {calibrate.MIN_NORMALS} are needed"
        )
    judged = None if dataset.test is None else _scorable(dataset.test, "test")
    click.echo(f"{dataset.name}: {normals:,} normal beats to learn from")
    return replace(dataset, train=learnt, test=judged)


def _scorable(part: DatasetPart, name: str) -> DatasetPart:
    kept = train.scorable(part.samples)
    if not kept.all():
        click.echo(f"{int((~kept).sum()):,} {name} beats are flat or saturated and left out")
    return part.only(kept)


def _evaluated(dataset: Dataset, ours: Scoring, limit: ThresholdSpec, budget: calibrate.Budget) -> Evaluation | None:
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
        thresholds = evaluate.thresholds(manifest.threshold)
        click.echo(f"{found.normals:,} normal and {found.abnormals:,} abnormal beats to judge by, {thresholds}:")
        click.echo(evaluate.table(found))
    limit = manifest.threshold
    click.echo(calibrate.sentence(limit))
    click.echo(
        f"{'within the budget' if limit.confidence else 'on the training beats'}, {bedside(limit.false_alarm_rate)}"
    )
    click.echo(f"wrote {out} (model {manifest.model_id})")
