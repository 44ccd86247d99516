"""The sweep over all thresholds, and its table."""

from __future__ import annotations

import numpy as np

from trainer.threshold import sweep

SCORES = np.array([1, 2, 3, 7, 5, 6, 2, 8], np.float32)


LABELS = np.array([False] * 4 + [True] * 4)


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
