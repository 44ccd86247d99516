"""The command `calibrate`: give a model a new threshold from a hospital's own normal beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer import options

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--model", type=options.PATH, required=True, help="Model file to start from.")
@click.option(
    "--data",
    type=options.PATH,
    required=True,
    help="Beats that the model was not trained on: a file of them, or recordings.",
)
@options.lead
@options.hz
@options.unit
@options.model_to_write
@options.false_alarm_rate
@options.confidence
@options.normal_label
@options.resample
@click.option("--force", is_flag=True, help="Calibrate also where most normal beats lie above the model's threshold.")
def calibrate(
    model: Path, data: Path, out: Path, *, false_alarm_rate: float | None, confidence: float,
    leads: tuple[str, ...], hz: float | None, unit: str | None, normal_labels: tuple[str, ...], resample: bool,
    force: bool,
) -> None:  # fmt: skip
    """Set a new threshold from your own normal beats. The network is not trained again and keeps its model id.

    If the file has labels, only its normal beats set the threshold. If most of them lie above the model's threshold,
    the model does not know such beats: train on them instead.
    """
    from monitor.beats.beat_file import ReadingRules
    from trainer.data.signals import Signals
    from trainer.fitting import recalibration
    from trainer.threshold.conformal import Budget

    budget, rules = Budget(false_alarm_rate, confidence), ReadingRules(normal_labels, resample=resample)
    task = recalibration.Recalibration(data, budget, rules, Signals(leads, hz, unit), force=force)
    recalibration.recalibrate(model, task, out)
