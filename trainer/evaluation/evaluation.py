"""The evaluation of a newly trained model on beats by which nothing was chosen.

They are the test part of its data set. Where patients are known, there is none: each patient is judged by networks and
thresholds of the other patients, so that nobody is evaluated on what was learnt from them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from monitor.model.manifest import Evaluation
from trainer.data import datasets
from trainer.evaluation import by_patient, contenders
from trainer.evaluation.contenders import Contender
from trainer.evaluation.figures import figures
from trainer.fitting import scoring
from trainer.threshold.rule import ThresholdRule

if TYPE_CHECKING:
    from monitor.model.manifest import ThresholdSpec
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.evaluation.contenders import Scoring
    from trainer.fitting.cross_fitting import Fitted
    from trainer.threshold.conformal import Budget

BY_PATIENT = "each patient by networks and thresholds of the other patients"


def of_data(dataset: Dataset, fitted: Fitted, threshold: ThresholdSpec, rule: ThresholdRule) -> Evaluation | None:
    """Figures of the model beside the simple detectors: on the test part or, if patients are known, on each of them.

    None, with a message, if there are not both normal and abnormal beats to evaluate on.
    """
    if dataset.train.patients is not None:
        return _of_patients(dataset.train, fitted, threshold, rule)
    test = dataset.test
    if test is None or test.abnormal.all() or not test.abnormal.any():
        click.echo("Not evaluated: this needs labelled test beats, both normal and abnormal.")
        return None
    split = dataset.name if dataset.name == datasets.OFFICIAL_NAME else f"{dataset.name}, last beats of each kind"
    score = partial(scoring.scores, fitted.detector)
    return evaluate(split, score, threshold.value, dataset.train, test, rule.budget)


def _of_patients(part: DatasetPart, fitted: Fitted, threshold: ThresholdSpec, rule: ThresholdRule) -> Evaluation | None:
    """Each patient's beats by networks and a threshold from the other patients."""
    if not part.abnormal.any():
        click.echo("Not evaluated: this needs annotated beats, both normal and abnormal.")
        return None
    contender = Contender(
        contenders.AUTOENCODER, partial(scoring.scores, fitted.detector), threshold.value, fitted.scores
    )
    rows = [
        figures(each.name, each.held_out, part.abnormal, each.threshold, by_patient.flagged(part, each.held_out, by))
        for each, by in (
            (contender, rule),
            *((one, ThresholdRule(budget=rule.budget)) for one in contenders.simple(part, rule.budget)),
        )
        if each.held_out is not None
    ]
    abnormals = int(part.abnormal.sum())
    return Evaluation(BY_PATIENT, len(part) - abnormals, abnormals, tuple(rows))


def evaluate(
    split: str, score: Scoring, threshold: float, train: DatasetPart, test: DatasetPart, budget: Budget
) -> Evaluation:
    """Figures of the model, of PCA and of the nearest neighbour on the test part. Only this function reads it."""
    rows = [figures(contenders.AUTOENCODER, score(test.samples), test.abnormal, threshold)]
    rows += [
        figures(each.name, each.score(test.samples), test.abnormal, each.threshold)
        for each in contenders.simple(train, budget)
    ]
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
