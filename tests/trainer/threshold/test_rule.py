"""The rules by which a threshold is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import RefusedError
from trainer.threshold.conformal import Budget
from trainer.threshold.rule import ThresholdRule

SCORES = np.array([1, 2, 3, 7, 5, 6, 2, 8], np.float32)
LABELS = np.array([False] * 4 + [True] * 4)
NORMAL, ABNORMAL = np.sort(SCORES[~LABELS]), SCORES[LABELS]


def spec(text):
    return ThresholdRule.parse(text, Budget()).threshold(NORMAL, ABNORMAL)


@pytest.mark.parametrize(
    ("rule", "value"), [("f1", 3), ("precision:0.9", 7), ("recall:0.7", 3), ("recall:0.9", 1), ("mean-plus-sd:1", None)]
)
def test_each_rule_chooses_its_threshold(rule, value):
    found = spec(rule)
    assert found.value == (pytest.approx(NORMAL.mean() + NORMAL.std()) if value is None else value)
    assert found.false_alarm_rate == (found.value < NORMAL).mean()
    assert found.confidence == 0
    assert "promises no false-alarm rate" in found.note


def test_a_rule_that_uses_labels_is_marked():
    assert (spec("f1").rule, spec("f1").abnormals) == ("f1 on labelled training beats", 4)
    assert spec("mean-plus-sd:2").abnormals == 0


def test_the_budget_is_the_rule_without_labels():
    found = ThresholdRule.parse("budget", Budget(0.1, 0.5)).threshold(np.arange(100, dtype=np.float32), ABNORMAL[:0])
    assert (found.false_alarm_rate, found.confidence, found.abnormals) == (0.1, 0.5, 0)


def test_a_rule_that_no_threshold_satisfies_is_refused():
    with pytest.raises(RefusedError, match=r"no threshold reaches a precision of 0\.9"):
        ThresholdRule.parse("precision:0.9", Budget()).threshold(
            np.array([5.0, 9.0], np.float32), np.array([1.0], np.float32)
        )


@pytest.mark.parametrize(
    "text", ["", "best", "precision", "precision:2", "recall:x", "f1:3", "mean-plus-sd:nan", "mean-plus-sd:-50"]
)
def test_an_invalid_rule_is_refused(text):
    with pytest.raises(RefusedError, match="threshold rule"):
        ThresholdRule.parse(text, Budget())


@pytest.mark.parametrize("budget", [Budget(0.01), Budget(None, 0.99)])
def test_a_budget_beside_another_rule_is_refused(budget):
    with pytest.raises(RefusedError, match="f1 promises no false-alarm rate"):
        ThresholdRule.parse("f1", budget)
