"""The rules for a threshold, what one means at the bedside, and the table of them all."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import RefusedError
from trainer.threshold import sweep
from trainer.threshold.calibrate import Budget
from trainer.threshold.rule import ThresholdRule

SCORES = np.array([1, 2, 3, 7, 5, 6, 2, 8], np.float32)
LABELS = np.array([False] * 4 + [True] * 4)
NORMAL, ABNORMAL = np.sort(SCORES[~LABELS]), SCORES[LABELS]


def limit(text):
    return ThresholdRule.parse(text, Budget()).limit(NORMAL, ABNORMAL)


def test_each_row_of_a_sweep_counts_what_lies_above_its_threshold():
    rows = {row.threshold: row for row in sweep.sweep(SCORES, LABELS)}
    assert list(rows) == [1, 2, 3, 5, 6, 7]
    row = rows[3]
    assert (row.precision, row.recall, row.f1, row.false_positive_rate) == (0.75, 0.75, 0.75, 0.25)
    assert row.flags_per_hour == 0.25 * 4500


def test_a_table_of_a_sweep_has_a_head_and_some_rows():
    random = np.random.default_rng(0)
    many = sweep.sweep(np.append(random.normal(0, 1, 900), random.normal(3, 1, 500)), np.arange(1400) >= 900)
    lines = sweep.table(many).splitlines()
    assert "recall" in lines[0]
    assert 10 < len(lines) <= 21
    few_errors = [line for line in lines[1:] if float(line.split()[4]) < 0.05 and float(line.split()[2]) > 0.7]
    assert len(few_errors) >= 5, "it looks closest where thresholds are chosen"


@pytest.mark.parametrize(
    ("rule", "value"), [("f1", 3), ("precision:0.9", 7), ("recall:0.7", 3), ("recall:0.9", 1), ("mean-plus-sd:1", None)]
)
def test_each_rule_chooses_its_threshold(rule, value):
    found = limit(rule)
    assert found.value == (pytest.approx(NORMAL.mean() + NORMAL.std()) if value is None else value)
    assert found.false_alarm_rate == (found.value < NORMAL).mean()
    assert found.confidence == 0
    assert "promises no false-alarm rate" in found.note


def test_a_rule_that_looks_at_labels_says_so():
    assert (limit("f1").rule, limit("f1").abnormals) == ("f1 on labelled training beats", 4)
    assert limit("mean-plus-sd:2").abnormals == 0


def test_the_budget_is_the_rule_without_labels():
    found = ThresholdRule.parse("budget", Budget(0.1, 0.5)).limit(np.arange(100, dtype=np.float32), ABNORMAL[:0])
    assert (found.false_alarm_rate, found.confidence, found.abnormals) == (0.1, 0.5, 0)


def test_a_rule_that_no_threshold_satisfies_is_refused():
    with pytest.raises(RefusedError, match=r"no threshold reaches a precision of 0\.9"):
        ThresholdRule.parse("precision:0.9", Budget()).limit(
            np.array([5.0, 9.0], np.float32), np.array([1.0], np.float32)
        )


@pytest.mark.parametrize(
    "text", ["", "best", "precision", "precision:2", "recall:x", "f1:3", "mean-plus-sd:nan", "mean-plus-sd:-50"]
)
def test_a_rule_that_makes_no_sense_is_refused(text):
    with pytest.raises(RefusedError, match="threshold rule"):
        ThresholdRule.parse(text, Budget())


@pytest.mark.parametrize("budget", [Budget(0.01), Budget(None, 0.99)])
def test_a_budget_beside_another_rule_is_refused(budget):
    with pytest.raises(RefusedError, match="f1 promises no false-alarm rate"):
        ThresholdRule.parse("f1", budget)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_false_episodes_an_hour_are_those_that_a_long_run_has(rate):
    flags = np.random.default_rng(1).random(1_000_000) < rate
    opened, is_open, recent, quiet = 0, False, 0, 0
    for flag in flags.tolist():
        recent, quiet = (2 * recent + flag) % 32, 0 if flag else quiet + 1
        if is_open and quiet == 5:
            is_open = False
        elif not is_open and recent.bit_count() >= 3:
            opened, is_open = opened + 1, True
    assert sweep.episodes_per_hour(rate) == pytest.approx(opened / len(flags) * 4500, rel=0.1)


def test_nothing_flagged_opens_no_episode():
    assert sweep.episodes_per_hour(0.0) == 0
    assert "independent" in sweep.bedside(0.05)
