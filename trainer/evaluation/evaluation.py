"""The evaluation of a newly trained model on the test part of its data set. Nothing was chosen by these beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.model.manifest import Evaluation
from trainer import progress
from trainer.data import datasets
from trainer.evaluation import contenders
from trainer.evaluation.figures import figures

if TYPE_CHECKING:
    from monitor.model.manifest import ThresholdSpec
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.evaluation.contenders import Scoring
    from trainer.threshold.conformal import Budget


def of_test_part(dataset: Dataset, score: Scoring, threshold: ThresholdSpec, budget: Budget) -> Evaluation | None:
    """Figures of the model on the test part, beside the simple detectors.

    None, with a message, if the test part does not have both normal and abnormal beats.
    """
    test = dataset.test
    if test is None or test.abnormal.all() or not test.abnormal.any():
        click.echo("Not evaluated: this needs labelled test beats, both normal and abnormal.")
        return None
    split = dataset.name if dataset.name == datasets.OFFICIAL_NAME else f"{dataset.name}, last beats of each kind"
    return evaluate(split, score, threshold.value, dataset.train, test, budget)


def evaluate(
    split: str, score: Scoring, threshold: float, train: DatasetPart, test: DatasetPart, budget: Budget
) -> Evaluation:
    """Figures of the model, of PCA and of the nearest neighbour on the test part. Only this function reads it."""
    rows = []
    with progress.phase("comparison", 3, "detector") as tick:
        rows.append(figures(contenders.AUTOENCODER, score(test.samples), test.abnormal, threshold))
        tick(contenders.AUTOENCODER)
        for each in contenders.simple(train.normal_samples, budget):
            rows.append(figures(each.name, each.score(test.samples), test.abnormal, each.threshold))
            tick(each.name)
    abnormals = int(test.abnormal.sum())
    return Evaluation(split, len(test) - abnormals, abnormals, tuple(rows))


def thresholds(ours: ThresholdSpec) -> str:
    """How the thresholds of such an evaluation were chosen, in words."""
    if ours.confidence:
        return "all thresholds were chosen on training beats by the same false-alarm budget"
    return (
        f"the autoencoder's threshold was chosen on training beats by the rule {ours.rule}, the others by a "
        "false-alarm budget"
    )
