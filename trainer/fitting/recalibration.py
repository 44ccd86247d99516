"""A new threshold for an existing model, from other normal beats. The network stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from monitor.model import artifact
from trainer import destination
from trainer.data import datasets, reading
from trainer.data.signals import ALL
from trainer.fitting import export, overlap, preparation, scoring
from trainer.threshold import conformal, false_alarms, people
from trainer.threshold.rule import ThresholdRule

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.model.manifest import Model, ThresholdSpec
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.data.signals import Signals
    from trainer.threshold.conformal import Budget

RULE = "false-alarm budget, conformal rank on held-out normal beats"
RULE_FOR_PEOPLE = f"{conformal.FOR_PEOPLE}, by the shares of held-out people"


def recalibrate(model_file: Path, source: Path, out: Path, budget: Budget, signals: Signals = ALL) -> Model:
    """Write the model of `model_file` to `out`, with threshold and calibration scores from the beats of `source`.

    Raises ArtifactError or RefusedError if the model or the beats cannot be used.
    """
    destination.probe(out)
    model = artifact.load(model_file, "cpu")
    dataset = reading.read(source, signals)
    preparation.require_window(source, dataset, model)
    part = _held_out(dataset, source, model)
    scores = scoring.scores(model, part.samples)
    calibration = conformal.calibration(scores[~part.abnormal])
    chosen = people.chosen(ThresholdRule(budget=budget), scores, part.abnormal, part.patients)
    threshold = replace(chosen, rule=RULE if part.patients is None else RULE_FOR_PEOPLE)
    made = replace(model, manifest=replace(
        model.manifest,
        threshold=threshold,
        calibration=tuple(calibration.tolist()),
        evaluation=None,  # its figures belong to the old threshold
        training=_training(model, budget)
        | {"calibrated_on": dataset.name, "calibration_fingerprint": datasets.fingerprint(part)},
    ))  # fmt: skip
    artifact.save(out, made)
    _print(threshold, made.manifest.model_id, out)
    return made


def _training(model: Model, budget: Budget) -> dict[str, int | float | str]:
    """The manifest's entries on the training; of a rate by hand, only that of the new budget."""
    kept = {name: value for name, value in model.manifest.training.items() if name != "false_alarm_rate_by_hand"}
    return kept | export.rate_by_hand(budget)


def _held_out(dataset: Dataset, source: Path, model: Model) -> DatasetPart:
    """All beats that can be scored. Raises RefusedError if the model was trained on any of them, as far as is known."""
    parts = [dataset.train] if dataset.test is None else [dataset.train, dataset.test]
    overlap.refuse(model, source, *parts)
    whole = datasets.joined(*parts)
    kept = whole.only(scoring.scorable(whole.samples))
    normals = len(kept.normal_samples)
    preparation.require_normals(source, normals, "calibrate on")
    click.echo(
        f"{dataset.name}: {normals:,} normal beats to calibrate on; {len(whole) - normals:,} others are left out"
    )
    return kept


def _print(threshold: ThresholdSpec, model_id: str, out: Path) -> None:
    click.echo(conformal.sentence(threshold))
    click.echo(false_alarms.sentence(threshold))
    click.echo(f"wrote {out} (model {model_id}, the same network as before)")
