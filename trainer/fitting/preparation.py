"""Prepare a data set for training: leave out beats that the monitor would not score, and check how many remain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from monitor.errors import RefusedError
from trainer.data import reading
from trainer.data.signals import ALL
from trainer.fitting import scoring

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.model.manifest import Model
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.data.signals import Signals

MIN_NORMALS = 30  # fewer normal beats are too few to choose a threshold by


def prepared(source: Path, signals: Signals = ALL) -> Dataset:
    """The beats of `source` that the monitor would score. Prints what was assumed about them.

    Raises RefusedError if they cannot be read, or if too few of the training part are normal.
    """
    dataset = reading.read(source, signals)
    for note in dataset.notes:
        click.echo(note)
    train = _scorable(dataset.train, "training")
    require_normals(source, len(train.normal_samples), "train on")
    test = None if dataset.test is None else _scorable(dataset.test, "test")
    click.echo(f"{dataset.name}: {len(train.normal_samples):,} normal beats to train on")
    return replace(dataset, train=train, test=test)


def require_window(source: Path, dataset: Dataset, model: Model) -> None:
    """Raises RefusedError if beats of recordings are not cut as those that the model was trained on."""
    wanted = model.manifest.window.cut
    if dataset.leads and dataset.window != wanted:
        raise RefusedError(
            f"{source}: these beats are cut {dataset.window}, but the model takes beats cut {wanted}: train a model on "
            "recordings with `ecg-trainer ecg`"
        )


def require_normals(source: Path, normals: int, purpose: str) -> None:
    """Raises RefusedError if there are fewer than MIN_NORMALS normal beats to `purpose`."""
    if normals < MIN_NORMALS:
        raise RefusedError(f"{source}: {normals} normal beats to {purpose}, but at least {MIN_NORMALS} are needed")


def _scorable(part: DatasetPart, name: str) -> DatasetPart:
    kept = scoring.scorable(part.samples)
    if not kept.all():
        click.echo(f"{int((~kept).sum()):,} {name} beats are flat or saturated and are left out")
    return part.only(kept)
