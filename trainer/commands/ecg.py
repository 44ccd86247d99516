"""The command `ecg`: train a model on normal beats, choose its threshold, evaluate it, and write its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.errors import RefusedError
from trainer import destination, options, progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.model.manifest import Model
    from trainer.data.datasets import Dataset
    from trainer.evaluation.by_patient import HeldOutVerdicts, PatientFigures
    from trainer.fitting.recipe import Recipe
    from trainer.threshold.rule import ThresholdRule


@click.command(short_help="Train a detector of abnormal beats and write its model file.")
@click.option(
    "--data", type=options.PATH, required=True, metavar="FOLDER|FILE",
    help="A folder with ECG5000 or with recordings, a file of beats, or a recording.",
)  # fmt: skip
@options.lead
@options.hz
@options.unit
@options.model_to_write
@options.seed
@click.option("--epochs", type=click.IntRange(1, 100_000), help="Passes over the beats [default: about 6000 steps].")
@options.device
@click.option(
    "--network", type=click.Choice(["plain", "stacked", "conv"]), default="stacked", show_default=True,
    help="Autoencoder: plain has one hidden layer (the mean of two such networks), stacked several, conv is "
    "convolutional.",
)  # fmt: skip
@click.option(
    "--noise", metavar="none|gaussian:S|dropout:P",
    help="Noise added to the input during training; the network learns to reproduce the clean beat "
    "[default: gaussian:0.1].",
)  # fmt: skip
@options.false_alarm_rate
@options.confidence
@click.option(
    "--threshold-rule", default="budget", show_default=True, metavar="RULE",
    help="How the threshold is chosen: budget (see --false-alarm-rate), f1, precision:P, recall:R or mean-plus-sd:K. "
    "f1, precision and recall need labelled abnormal beats in the training part.",
)  # fmt: skip
@options.normal_label
@options.resample
@click.option("--report", type=options.FOLDER, help="Also write an HTML page with pictures into this folder.")
@click.option("--quick", is_flag=True, help="Train for one epoch only, to try the command out.")
def ecg(
    data: Path, out: Path, seed: int, epochs: int | None, device: str, *, network: str, noise: str | None,
    false_alarm_rate: float | None, confidence: float, threshold_rule: str, leads: tuple[str, ...], hz: float | None,
    unit: str | None, normal_labels: tuple[str, ...], resample: bool, report: Path | None, quick: bool,
) -> None:  # fmt: skip
    """Train a model on normal beats and write its file.

    The model is an autoencoder. Its threshold is chosen from training beats, and it is evaluated on the test beats, if
    there are any.

    A file of beats has one beat in each line (CSV) or row (NPY): 140 samples in any unit of amplitude, and optionally
    a label in the last column (1 = normal, 0 = abnormal; see --normal-label). Without labels all beats are taken as
    normal. ECG5000's own format, with the class in the first column and blanks or tabs between the columns, is read as
    well.

    A recording is a WFDB record, an EDF, BDF or CSV file. Its beats are found and cut around R. Nobody is
    evaluated on what was learnt from them: each person is judged by networks and a threshold of the other people.
    Annotated beats of the class N of AAMI are normal. Without annotations all beats are, but for the strangest.

    The first Ctrl-C ends the training early, and the model is written as far as it is trained. After a second Ctrl-C
    nothing is written.
    """
    options.require_library("sklearn")
    if report is not None:
        options.require_library("matplotlib")
    destination.probe(out, None if report is None else report / "index.html")
    from monitor.beats.beat_file import ReadingRules
    from trainer.data.signals import Signals
    from trainer.fitting import preparation, recipe
    from trainer.threshold.conformal import Budget
    from trainer.threshold.rule import ThresholdRule

    chosen = recipe.chosen(network, noise, epochs=1 if quick else epochs, seed=seed)
    rule = ThresholdRule.parse(threshold_rule, Budget(false_alarm_rate, confidence))
    rules, signals = ReadingRules(normal_labels, resample=resample), Signals(leads, hz, unit)
    train(preparation.prepared(data, rules, signals), out, chosen, device, rule, report=report)


def train(
    dataset: Dataset,
    out: Path,
    recipe: Recipe,
    device: str,
    rule: ThresholdRule | None = None,
    *,
    report: Path | None = None,
) -> Model:
    """Train on prepared beats, write the model to `out` and, if wanted, its report into a folder.

    Without a `rule` the default false-alarm budget sets the threshold. Raises RefusedError if the beats or the device
    cannot be used.
    """
    import torch

    from monitor.model import artifact
    from trainer import interrupt
    from trainer.threshold import people
    from trainer.threshold.rule import ThresholdRule

    torch.set_num_threads(1)  # sums are added in one fixed order, so the same seed gives the same bytes
    rule = ThresholdRule() if rule is None else rule
    part = dataset.train
    if rule.needs_labels and not part.abnormal.any():
        raise RefusedError(
            f"{dataset.name}: the threshold rule {rule.kind} needs labelled abnormal training beats; there are none"
        )
    if rule.kind == "budget" and part.patients is None:
        rule.budget.require(len(part.normal_samples))
    from trainer.evaluation import by_patient, evaluation  # scikit-learn takes two seconds: the refusals come first
    from trainer.fitting import cross_fitting, export

    recipe = recipe.suited(len(part.normal_samples), people=part.patients is not None)
    with interrupt.first_ctrl_c() as stopped:
        fitted = cross_fitting.fitted(part, recipe, device, stopped.is_set)
        threshold = people.chosen(rule, fitted.scores, part.abnormal, part.patients)
        evaluated = evaluation.of_data(dataset, fitted, threshold, rule)
        model = export.model(fitted, recipe, dataset, rule.budget, threshold, evaluated)
        artifact.save(out, model)
    judged = by_patient.judged(part, fitted.scores, rule)
    _print(model, out, () if judged is None else by_patient.figures(part, judged.scores, judged.above))
    if report is not None:
        _write_report(report, model, dataset, fitted.losses, judged)
    return model


def _write_report(
    folder: Path, model: Model, dataset: Dataset, losses: tuple[float, ...], judged: HeldOutVerdicts | None
) -> None:
    """Write the report. `judged` is None where the data names no patients."""
    from trainer.report.report import write  # importing matplotlib takes a second

    with progress.phase("report"):
        page = write(folder, model, dataset, losses, judged)
    click.echo(f"wrote {page}")


def _print(model: Model, out: Path, patients: Sequence[PatientFigures]) -> None:
    from trainer.data import plausibility
    from trainer.evaluation import by_patient, evaluation, figures
    from trainer.threshold import conformal, false_alarms

    manifest = model.manifest
    if manifest.evaluation is not None:
        found = manifest.evaluation
        thresholds = evaluation.thresholds(manifest.threshold, found.split)
        kind = "beats" if patients else "test beats"
        click.echo(f"Evaluated on {found.normals:,} normal and {found.abnormals:,} abnormal {kind}; {thresholds}.")
        click.echo(figures.table(found))
        if not patients:
            plausibility.warn_of_recall(found.rows[0].recall)
            plausibility.warn_of_misfit(found.rows[0].false_positive_rate, manifest.window.cut)
    if patients:
        click.echo("\n".join((by_patient.table(patients), *by_patient.summary(patients, manifest.threshold))))
    click.echo(conformal.sentence(manifest.threshold))
    shares = by_patient.normal_shares(patients)
    click.echo(false_alarms.of_people(shares) if shares else false_alarms.sentence(manifest.threshold))
    click.echo(f"wrote {out} (model {manifest.model_id})")
