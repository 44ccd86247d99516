"""Figures of each patient."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data.datasets import DatasetPart
from trainer.evaluation import by_patient
from trainer.threshold.conformal import Budget
from trainer.threshold.rule import ThresholdRule

RULE = ThresholdRule(budget=Budget(0.05, 0.5))


@pytest.fixture
def part():
    """Four people with 40 normal and 10 ventricular beats; the scores of the last one are a hundred times as high."""
    patients = np.repeat(["a", "b", "c", "d"], 50)
    classes = np.tile(np.repeat([1, 7], [40, 10]), 4).astype(np.int8)
    return DatasetPart(np.zeros((200, 140), np.float32), classes == 7, classes, patients)


@pytest.fixture
def scores(part):
    ladder = np.tile(np.linspace(1, 2, 50), 4)
    return (ladder * np.where(part.patients == "d", 100, 1)).astype(np.float32)


def test_a_patient_is_judged_by_the_threshold_of_the_others(part, scores):
    rows = {row.patient: row for row in by_patient.figures(part, scores, by_patient.judged(part, scores, RULE).above)}
    assert rows["d"].false_positive_rate == 1
    assert rows["a"].false_positive_rate <= 0.05
    assert rows["a"].ventricular_auc == rows["d"].ventricular_auc == 1
    assert rows["a"].ventricular == 10


def test_the_summary_counts_patients(part, scores):
    judged = by_patient.judged(part, scores, RULE)
    spec = RULE.threshold(np.sort(scores), scores)
    texts = by_patient.summary(by_patient.figures(part, scores, judged.above), spec)
    assert "worst 100.0%; more than 5.0% in 1 of 4 patients" in texts[0]
    assert "does not fit 1 of them (d)" in texts[1]
    assert "AUC median 1.0000" in texts[2]


def test_beats_without_patients_are_not_judged_by_patient(part, scores):
    nobody = DatasetPart(part.samples, part.abnormal)
    assert by_patient.judged(nobody, scores, RULE) is None


def test_a_patient_without_abnormal_beats_has_a_dash(part, scores):
    normal = part.only(~part.abnormal)
    rows = by_patient.figures(normal, scores[~part.abnormal], np.zeros(len(normal), np.bool_))
    assert by_patient.cells(rows)[0] == ("a", "40", "0", "0", "0.0000", "-", "-", "-")
