"""Figures that can be checked by hand."""

from __future__ import annotations

import numpy as np

from monitor.model.manifest import Evaluation
from trainer.evaluation import figures as measures

LABELS = np.array([False] * 4 + [True] * 4)


def figures(scores, threshold):
    return measures.figures("x", np.array(scores, np.float32), LABELS, threshold)


def test_a_perfect_detector_has_perfect_figures():
    found = figures([1, 2, 3, 4, 5, 6, 7, 8], 4)
    assert (found.auc, found.average_precision, found.tpr_at_1_percent_fpr) == (1, 1, 1)
    assert (found.accuracy, found.precision, found.recall, found.false_positive_rate) == (1, 1, 1, 0)


def test_figures_count_abnormal_as_positive():
    found = figures([1, 2, 3, 7, 5, 6, 2, 8], 4)
    assert (found.precision, found.recall, found.false_positive_rate) == (0.75, 0.75, 0.25)
    assert found.accuracy == 0.75
    assert found.auc == 11.5 / 16  # of 16 pairs four stand the wrong way round and one is a tie
    assert found.tpr_at_5_percent_fpr == 0.25


def test_a_detector_that_flags_nothing_has_no_precision():
    found = figures([1, 2, 3, 7, 5, 6, 2, 8], 9)
    assert found.precision is None
    assert found.recall == 0
    assert "-" in measures.table(Evaluation("s", 4, 4, (found,)))
