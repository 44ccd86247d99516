"""A model on recordings of people whom it does not know, patient by patient."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
import numpy as np
import torch

from monitor.errors import RefusedError
from monitor.model import artifact
from trainer.data import datasets, reading
from trainer.evaluation import by_patient, contenders, figures
from trainer.fitting import overlap, preparation, scoring
from trainer.threshold import sweep

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.model.manifest import Figures, Model
    from trainer.data.datasets import DatasetPart
    from trainer.data.signals import Signals
    from trainer.evaluation.by_patient import PatientFigures


def evaluate(
    model_file: Path, source: Path, signals: Signals, json_file: Path | None, *, show_sweep: bool
) -> tuple[PatientFigures, ...]:
    """Print the figures of each patient at the model's threshold, and write them to the JSON file.

    Raises ArtifactError or RefusedError if the model, the recordings or the JSON file cannot be used, or if the model
    was trained on these beats.
    """
    torch.set_num_threads(1)
    model = artifact.load(model_file, "cpu")
    part = _part(model, source, signals)
    scores = scoring.scores(model, part.samples)
    above = scores > np.float32(model.manifest.threshold.value)
    found = by_patient.figures(part, scores, above)
    both = bool(part.abnormal.any()) and not part.abnormal.all()
    whole = (
        figures.figures(contenders.AUTOENCODER, scores, part.abnormal, model.manifest.threshold.value) if both else None
    )
    if both and show_sweep:
        click.echo(sweep.table(sweep.sweep(scores, part.abnormal)))
    click.echo(by_patient.table(found))
    click.echo("\n".join(by_patient.summary(found, model.manifest.threshold)))
    _write(json_file, source, found, whole)
    return found


def _part(model: Model, source: Path, signals: Signals) -> DatasetPart:
    dataset = reading.read(source, signals)
    for note in dataset.notes:
        click.echo(note)
    preparation.require_window(source, dataset, model)
    parts = [dataset.train] if dataset.test is None else [dataset.train, dataset.test]
    overlap.refuse(model, source, *parts)
    whole = datasets.joined(*parts)
    return whole.only(scoring.scorable(whole.samples))


def _write(json_file: Path | None, source: Path, found: tuple[PatientFigures, ...], whole: Figures | None) -> None:
    if json_file is not None:
        content = {
            "data": source.resolve().name,
            "all": None if whole is None else asdict(whole),
            "patients": [asdict(each) for each in found],
        }
        try:
            json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise RefusedError(f"{json_file}: cannot be written: {error.strerror}") from error
