"""The straight line of `ecg-trainer ecg`: read, fit, calibrate, evaluate, export."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import torch

from monitor import artifact
from monitor.errors import RefusedError
from trainer import calibrate, data, evaluate, export, train

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from monitor.model import Evaluation, Limit, Model
    from trainer.data import Dataset, Part
    from trainer.evaluate import Scoring
    from trainer.train import Recipe

MIN_NORMALS = 30


def main(source: Path, out: Path, recipe: Recipe, device: str, report_to: Path | None = None) -> Model:
    """Train on the normal beats of `source`, write the model to `out` and, when asked to, a report into a folder.

    Raises RefusedError when the beats, the device or the place to write to cannot be used.
    """
    torch.set_num_threads(1)  # sums in one order: same seed, same bytes
    dataset = _prepared(source)
    normals = dataset.train.normal_samples
    budget = calibrate.Budget()
    fits = calibrate.FOLDS + 1
    losses: list[float] = []
    with click.progressbar(length=fits * recipe.epochs_for(len(normals)), label="training", file=sys.stderr) as bar:

        def heard(loss: float) -> None:
            losses.append(loss)
            bar.update(1)

        def fit(samples: NDArray[np.float32]) -> Scoring:
            fitted = train.detector(samples, recipe, device, lambda _: bar.update(1))
            return lambda others: train.scores(fitted, others)

        detector = train.detector(normals, recipe, device, heard)
        calibration = calibrate.calibration(calibrate.cross_fit(normals, fit, recipe.seed))
    limit = calibrate.limit(calibration, budget)
    evaluation = _evaluated(dataset, lambda samples: train.scores(detector, samples), limit, budget)
    model = export.model(detector, recipe, dataset, calibration, limit, evaluation)
    artifact.save(out, model)
    _report(model, out)
    if report_to is not None:
        from trainer import report  # noqa: PLC0415 - drawing takes a second to import

        click.echo(f"wrote {report.write(report_to, model, dataset, losses)}")
    return model


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


def _report(model: Model, out: Path) -> None:
    manifest = model.manifest
    if manifest.evaluation is not None:
        found = manifest.evaluation
        click.echo(
            f"{found.normals:,} normal and {found.abnormals:,} abnormal beats to judge by, at thresholds by one rule:"
        )
        click.echo(evaluate.table(found))
    limit = manifest.threshold
    click.echo(
        f"threshold {limit.value:.6g}: a budget of {limit.false_alarm_rate:.1%} false alarms on normal beats with "
        f"confidence {limit.confidence:g} (score {limit.rank} from the top of {limit.normals:,} cross-fitted beats)"
    )
    if limit.note:
        click.echo(limit.note)
    click.echo(f"wrote {out} (model {manifest.model_id})")
