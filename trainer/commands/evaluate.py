"""The command `evaluate`: measure a model on labelled test beats, beside simpler detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.errors import RefusedError
from trainer import destination, options

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Measure a model on labelled test beats.")
@click.option("--model", type=options.PATH, required=True, help="Model file to evaluate.")
@click.option(
    "--data", type=options.PATH, required=True,
    help="A folder with ECG5000 or with annotated recordings, a file of labelled beats, or a recording.",
)  # fmt: skip
@options.lead
@options.hz
@options.unit
@click.option(
    "--split", type=click.Choice(["official", "tensorflow", "normals80"]),
    help="Train again by the model's recipe, on a split of ECG5000: its official one, that of TensorFlow's tutorial, "
    "or 80 % of the normal beats for training (normals80) [default: evaluate the model as it is].",
)  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True,
    help="Number of trainings, each with another seed. Without --split, a number above 1 trains on the data's own "
    "training part.",
)  # fmt: skip
@options.normal_label
@options.resample
@click.option("--json", "json_file", type=options.FILE_TO_WRITE, help="Write the figures to this file as JSON.")
@click.option(
    "--sweep", is_flag=True,
    help="Also print what other thresholds would give on the test beats. Do not choose a threshold by this table.",
)  # fmt: skip
def evaluate(
    model: Path, data: Path, split: str | None, seeds: int, *, normal_labels: tuple[str, ...], resample: bool,
    json_file: Path | None, sweep: bool, leads: tuple[str, ...], hz: float | None, unit: str | None,
) -> None:  # fmt: skip
    """Measure a model on labelled test beats.

    The table compares it with PCA, the nearest neighbour and TensorFlow's tutorial model. On recordings, it shows the
    model patient by patient; take recordings of people whom the model was not trained on.
    """
    options.require_library("sklearn")
    destination.probe(json_file)  # importing the rest takes seconds
    from monitor.beats.beat_file import ReadingRules
    from trainer.data import reading
    from trainer.data.signals import Signals

    signals = Signals(leads, hz, unit)
    if reading.is_recordings(data, signals):
        if split is not None or seeds > 1:
            raise RefusedError(
                f"{data}: --split and --seeds are for ECG5000; `ecg-trainer ecg` judges the people of recordings by "
                "networks that were trained on the others"
            )
        from trainer.evaluation import held_out

        held_out.evaluate(model, data, signals, json_file, show_sweep=sweep)
        return
    from trainer.evaluation import comparison

    rules = ReadingRules(normal_labels, resample=resample)
    comparison.compare(model, comparison.EvaluationTask(data, split, seeds, rules), json_file, show_sweep=sweep)
