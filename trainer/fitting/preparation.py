"""Prepare a data set for training: leave out beats that the monitor would not score, and beats that repeat others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click
import numpy as np

from monitor.beats.beat_file import PLAIN
from monitor.errors import RefusedError
from monitor.terminal import count_of
from trainer.data import datasets, plausibility, reading, repeats
from trainer.data.signals import ALL
from trainer.fitting import scoring

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.beats.beat_file import ReadingRules
    from monitor.model.manifest import Model
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.data.signals import Signals

MIN_NORMALS = 30  # fewer normal beats are too few to choose a threshold by
REPEATS = "the same beat again, rounded or rescaled, or a window that overlaps by half"


def prepared(source: Path, rules: ReadingRules = PLAIN, signals: Signals = ALL) -> Dataset:
    """The distinct beats of `source` that the monitor would score. Prints what was assumed about them.

    Raises RefusedError if they cannot be read, or if too few of the training part are normal.
    """
    dataset = reading.read(source, signals, rules)
    for note in dataset.notes:
        click.echo(note)
    train, test = scorable(dataset.train, "training"), dataset.test
    if test is None:
        train = distinct(train, "training")
    else:
        train, test = separated(train, scorable(test, "test"))
    require_normals(source, len(train.normal_samples), "train on")
    doubt = "" if dataset.leads else plausibility.doubt(train)  # people differ, and annotations are no columns
    warnings = (doubt,) if doubt else ()
    for warning in warnings:
        click.echo(warning, err=True)
    click.echo(f"{dataset.name}: {len(train.normal_samples):,} normal beats to train on")
    return replace(dataset, train=train, test=test, notes=(*dataset.notes, *warnings))


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
        raise RefusedError(
            f"{source}: {count_of(normals, 'distinct normal beat')} to {purpose}, but at least {MIN_NORMALS} are needed"
        )


def scorable(part: DatasetPart, name: str) -> DatasetPart:
    """The beats that are neither flat nor saturated. Prints how many are left out."""
    kept = scoring.scorable(part.samples)
    if not kept.all():
        click.echo(f"{count_of(int((~kept).sum()), f'{name} beat')} flat or saturated: left out")
    return part.only(kept)


def distinct(part: DatasetPart, name: str) -> DatasetPart:
    """The beats that repeat no earlier one. Prints how many are left out, and which ones have two labels."""
    original = repeats.originals(part.samples)
    kept = original == np.arange(len(part))
    _say_repeats(len(part), int((~kept).sum()), name)
    _say_contradictions(part, original)
    return part.only(kept)


def separated(train: DatasetPart, test: DatasetPart) -> tuple[DatasetPart, DatasetPart]:
    """The distinct training beats, and the test beats that repeat none of them. Prints how many are left out."""
    original = repeats.originals(np.concatenate([train.samples, test.samples]))
    kept = original == np.arange(len(original))
    of_train = original[len(train) :] < len(train)
    _say_repeats(len(train), int((~kept[: len(train)]).sum()), "training")
    _say_contradictions(datasets.joined(train, test), original)
    if of_train.any():
        click.echo(f"{count_of(int(of_train.sum()), 'test beat')} repeated from the training part: left out")
    return train.only(kept[: len(train)]), test.only(~of_train)


def _say_repeats(beats: int, repeated: int, name: str) -> None:
    if repeated:
        share = f"{repeated:,} of {count_of(beats, f'{name} beat')}"
        click.echo(f"{share} repeat another one ({REPEATS}): left out, so that no beat counts twice")


def _say_contradictions(part: DatasetPart, original: NDArray[np.int64]) -> None:
    both = int((part.abnormal != part.abnormal[original]).sum())
    if both:
        click.echo(f"warning: {count_of(both, 'beat')} labelled both normal and abnormal", err=True)
