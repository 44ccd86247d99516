"""A new threshold for an existing model, from other normal beats. The network stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click
import numpy as np

from monitor.beats.beat_file import PLAIN, ReadingRules
from monitor.errors import RefusedError
from monitor.model import artifact, fit
from trainer import destination
from trainer.data import datasets, plausibility, reading
from trainer.data.signals import ALL, Signals
from trainer.fitting import export, overlap, preparation, scoring
from trainer.threshold import conformal, false_alarms, people
from trainer.threshold.rule import ThresholdRule

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.model.manifest import Model, ThresholdSpec
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.threshold.conformal import Budget

RULE = "false-alarm budget, conformal rank on held-out normal beats"
RULE_FOR_PEOPLE = f"{conformal.FOR_PEOPLE}, by the shares of held-out people"


@dataclass(frozen=True, slots=True)
class Recalibration:
    """What to calibrate on, and how. `force`: also a model that does not know these beats."""

    source: Path
    budget: Budget
    rules: ReadingRules = PLAIN
    signals: Signals = ALL
    force: bool = False


def recalibrate(model_file: Path, task: Recalibration, out: Path) -> Model:
    """Write the model of `model_file` to `out`, with threshold and calibration scores from other beats.

    Raises ArtifactError or RefusedError if the model or the beats cannot be used.
    """
    destination.probe(out)
    model = artifact.load(model_file, "cpu")
    dataset = reading.read(task.source, task.signals, task.rules)
    preparation.require_window(task.source, dataset, model)
    part = _held_out(dataset, task, model)
    scores = scoring.scores(model, part.samples)
    _require_fit(scores[~part.abnormal], model, task)
    calibration = conformal.calibration(scores[~part.abnormal])
    chosen = people.chosen(ThresholdRule(budget=task.budget), scores, part.abnormal, part.patients)
    threshold = replace(chosen, rule=RULE if part.patients is None else RULE_FOR_PEOPLE)
    made = replace(model, manifest=replace(
        model.manifest,
        threshold=threshold,
        calibration=tuple(calibration.tolist()),
        evaluation=None,  # its figures belong to the old threshold
        training=_training(model, task.budget)
        | {"calibrated_on": dataset.name, "calibration_fingerprint": datasets.fingerprint(part)},
    ))  # fmt: skip
    artifact.save(out, made)
    _print(threshold, made.manifest.model_id, out)
    _print_recall(scores[part.abnormal], threshold)
    return made


def _training(model: Model, budget: Budget) -> dict[str, int | float | str]:
    """The manifest's entries on the training; of a rate by hand, only that of the new budget."""
    kept = {name: value for name, value in model.manifest.training.items() if name != "false_alarm_rate_by_hand"}
    return kept | export.rate_by_hand(budget)


def _held_out(dataset: Dataset, task: Recalibration, model: Model) -> DatasetPart:
    """The distinct beats that can be scored. Raises RefusedError if the model is known to have learnt from any."""
    for note in dataset.notes if dataset.leads else dataset.notes[:-1]:  # the last one is on training and test part
        click.echo(note)
    parts = [dataset.train] if dataset.test is None else [dataset.train, dataset.test]
    overlap.refuse(model, task.source, *parts)
    whole = datasets.joined(*parts)
    kept = preparation.distinct(preparation.scorable(whole, "calibration"), "calibration")
    normals = len(kept.normal_samples)
    preparation.require_normals(task.source, normals, "calibrate on")
    if kept.patients is None:
        task.budget.require(normals)
    click.echo(
        f"{dataset.name}: {normals:,} normal beats to calibrate on; {len(whole) - normals:,} others are left out"
    )
    return kept


def _require_fit(normal: NDArray[np.float32], model: Model, task: Recalibration) -> None:
    """Raises RefusedError if most normal beats lie above the model's own threshold."""
    above = float((normal > np.float32(model.manifest.threshold.value)).mean())
    if not fit.is_misfit(above):
        return
    sentence = (
        f"{task.source}: {above:.1%} of these normal beats lie above the model's threshold "
        f"{model.manifest.threshold.value:.4g}: the model does not know such beats, and with a higher threshold it "
        "would find little"
    )
    if not task.force:
        raise RefusedError(f"{sentence}; train on them instead (`ecg-trainer ecg`), or give --force")
    click.echo(f"warning: {sentence}; written because of --force", err=True)


def _print_recall(abnormal: NDArray[np.float32], threshold: ThresholdSpec) -> None:
    if not len(abnormal):
        return
    found = int((abnormal > np.float32(threshold.value)).sum())
    click.echo(
        f"recall: {found / len(abnormal):.4f} ({found:,} of {len(abnormal):,} labelled abnormal beats lie above the "
        "new threshold)"
    )
    plausibility.warn_of_recall(found / len(abnormal))


def _print(threshold: ThresholdSpec, model_id: str, out: Path) -> None:
    click.echo(conformal.sentence(threshold))
    click.echo(false_alarms.sentence(threshold))
    click.echo(f"wrote {out} (model {model_id}, the same network as before)")
