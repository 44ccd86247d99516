"""The evaluation of a newly trained model on beats by which nothing was chosen.

These beats are the test part of its data set. Where patients are known there is no test part: each patient is judged
by networks and a threshold that were made from the other patients.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from monitor.model.manifest import Evaluation
from trainer import progress
from trainer.data import datasets
from trainer.evaluation import by_patient, contenders
from trainer.evaluation.contenders import Contender
from trainer.evaluation.figures import figures
from trainer.fitting import scoring
from trainer.threshold.rule import ThresholdRule

if TYPE_CHECKING:
    from monitor.model.manifest import Figures, ThresholdSpec
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.evaluation.contenders import Scoring
    from trainer.fitting.cross_fitting import Fitted
    from trainer.threshold.conformal import Budget

BY_PATIENT = "each patient by networks and thresholds of the other patients"


def of_data(dataset: Dataset, fitted: Fitted, threshold: ThresholdSpec, rule: ThresholdRule) -> Evaluation | None:
    """Figures of the model beside the simple detectors: on the test part or, if patients are known, on each of them.

    None, with a message, if there are not both normal and abnormal beats to evaluate on.
    """
    part = dataset.test if dataset.train.patients is None else dataset.train
    if part is None or part.abnormal.all() or not part.abnormal.any():
        click.echo("Not evaluated: this needs labelled test beats, both normal and abnormal.")
        return None
    score = partial(scoring.scores, fitted.detector)
    if part is dataset.train:
        return _of_patients(part, Contender(contenders.AUTOENCODER, score, threshold.value, fitted.scores), rule)
    split = dataset.name if dataset.name == datasets.OFFICIAL_NAME else f"{dataset.name}, last beats of each kind"
    return evaluate(split, score, threshold.value, dataset.train, part, rule.budget)


def _of_patients(part: DatasetPart, ours: Contender, rule: ThresholdRule) -> Evaluation:
    """Each patient's beats by networks and a threshold of the other patients."""
    rows = [_held_out(part, ours, rule)]
    rows += [_held_out(part, each, ThresholdRule(budget=rule.budget)) for each in contenders.simple(part, rule.budget)]
    abnormals = int(part.abnormal.sum())
    return Evaluation(BY_PATIENT, len(part) - abnormals, abnormals, tuple(rows))


def _held_out(part: DatasetPart, contender: Contender, rule: ThresholdRule) -> Figures:
    scores = contender.held_out
    found = None if scores is None else by_patient.judged(part, scores, rule)
    if found is None:
        raise ValueError(f"{contender.name} has no held-out scores of patients")
    return figures(contender.name, found.scores, part.abnormal, contender.threshold, found.above)


def evaluate(
    split: str, score: Scoring, threshold: float, train: DatasetPart, test: DatasetPart, budget: Budget
) -> Evaluation:
    """Figures of the model, of PCA and of the nearest neighbour on the test part. Only this function reads it."""
    rows = []
    with progress.phase("comparison", 3, "detector") as tick:
        rows.append(figures(contenders.AUTOENCODER, score(test.samples), test.abnormal, threshold))
        tick(contenders.AUTOENCODER)
        for each in contenders.simple(train, budget):
            rows.append(figures(each.name, each.score(test.samples), test.abnormal, each.threshold))
            tick(each.name)
    abnormals = int(test.abnormal.sum())
    return Evaluation(split, len(test) - abnormals, abnormals, tuple(rows))


def thresholds(ours: ThresholdSpec, split: str) -> str:
    """How the thresholds of an evaluation on this split were chosen, in words."""
    beats = "the other patients" if split == BY_PATIENT else "training beats"
    whose = f"{BY_PATIENT}; " if split == BY_PATIENT else ""
    if ours.confidence:
        return f"{whose}all thresholds were chosen on {beats} by the same false-alarm budget"
    return (
        f"{whose}the autoencoder's threshold was chosen on {beats} by the rule {ours.rule}, the others by a "
        "false-alarm budget"
    )
