"""The straight line of `ecg-trainer calibrate`: a new threshold from a hospital's own normal beats, no new network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from monitor.errors import RefusedError
from monitor.model import artifact
from trainer import destination
from trainer.commands import export
from trainer.data import dataset as data
from trainer.evaluation import overlap
from trainer.fitting import train
from trainer.threshold import calibrate
from trainer.threshold.sweep import bedside

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.model.manifest import Model, ThresholdSpec
    from trainer.data.dataset import Dataset, DatasetPart
    from trainer.threshold.calibrate import Budget

RULE = "false-alarm budget, conformal rank on held-out normal beats"


def main(model_file: Path, source: Path, out: Path, budget: Budget) -> Model:
    """Write the model of `model_file` to `out` with calibration and threshold from the normal beats of `source`.

    Raises ArtifactError or RefusedError when the model or the beats cannot be used.
    """
    destination.probe(out)
    model = artifact.load(model_file, "cpu")
    dataset = data.read(source)
    part = _held_out(dataset, source, model)
    calibration = calibrate.calibration(train.scores(model, part.normal_samples))
    limit = replace(calibrate.limit(calibration, budget), rule=RULE)
    manifest = replace(
        model.manifest,
        threshold=limit,
        calibration=tuple(calibration.tolist()),
        evaluation=None,  # its figures were those of another threshold
        training={name: told for name, told in model.manifest.training.items() if name != "false_alarm_rate_by_hand"}
        | export.by_hand(budget)
        | {"calibrated_on": dataset.name, "calibration_fingerprint": data.fingerprint(part)},
    )
    made = replace(model, manifest=manifest)
    artifact.save(out, made)
    _report(limit, manifest.model_id, out)
    return made


def _held_out(dataset: Dataset, source: Path, model: Model) -> DatasetPart:
    """Every beat that can be scored, once nothing says that the model has learnt from them."""
    parts = [dataset.train] if dataset.test is None else [dataset.train, dataset.test]
    overlap.refuse(model, source, *parts)
    whole = data.joined(*parts)
    kept = whole.only(train.scorable(whole.samples))
    normals = len(kept.normal_samples)
    if normals < calibrate.MIN_NORMALS:
        raise RefusedError(
            f"{source}: {normals} normal beats to calibrate on, where at least {calibrate.MIN_NORMALS} are needed"
        )
    click.echo(f"{dataset.name}: {normals:,} normal beats to calibrate on; {len(whole) - normals:,} others left out")
    return kept


def _report(limit: ThresholdSpec, model_id: str, out: Path) -> None:
    click.echo(calibrate.sentence(limit))
    click.echo(f"within the budget, {bedside(limit.false_alarm_rate)}")
    click.echo(f"wrote {out} (model {model_id}, as before)")
