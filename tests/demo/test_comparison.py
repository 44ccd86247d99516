"""Alarms of a recording beside its annotations."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.demo import comparison
from monitor.demo.comparison import TimeSpan
from monitor.recordings import Annotations
from monitor.settings import Settings


def compared(symbols, *alarms):
    """A beat a second; the first and the last second of each alarm."""
    notes = Annotations(np.arange(len(symbols), dtype=float), tuple(symbols), ("",) * len(symbols))
    return comparison.compare("100", float(len(symbols)), notes, [TimeSpan(*alarm) for alarm in alarms])


def test_only_three_or_more_ventricular_beats_in_a_row_are_a_run():
    assert compared("NNVVNVVVNVEVVN").runs == 2
    assert compared("VVFVVAVV").runs == 0


@pytest.mark.parametrize(
    ("alarm", "found"), [((0, 2.8), 0), ((0, 3), 1), ((4, 9), 1), ((7, 9), 1), ((7.2, 9), 0), ((0, 9), 1)]
)
def test_a_run_is_found_by_an_alarm_that_is_open_at_its_beats_or_at_the_next_two(alarm, found):
    one = compared("NNNVVVNNNN", alarm)
    assert (one.runs, one.found, one.at_runs) == (1, found, found)


def test_the_rule_is_that_of_a_monitor_without_settings():
    rule = Settings.model_fields
    assert (rule["episode_open"].default, rule["episode_window"].default) == (comparison.OPEN, comparison.WINDOW)


def test_marks_of_rhythm_and_noise_do_not_break_a_run():
    assert compared("NV+V~VN").runs == 1


@pytest.mark.parametrize(
    ("symbols", "at_abnormal"), [("NNVNVNVNNN", 1), ("NNNVNNVNNN", 0), ("NNAFNVNNNN", 1), ("VVNVNNNNNN", 0)]
)
def test_an_alarm_away_from_runs_is_at_abnormal_beats_or_among_normal_ones(symbols, at_abnormal):
    one = compared(symbols, (6, 8))
    assert (one.alarms, one.at_runs, one.at_abnormal, one.among_normal) == (1, 0, at_abnormal, 1 - at_abnormal)


def test_the_table_has_a_row_for_each_recording_and_one_for_all():
    rows = [compared("NNNVVVNNNN", (4, 9)), compared("NNNNNNNNNN", (3, 5))]
    head, first, second, all_rows = comparison.table(rows).splitlines()
    assert head.split()[:5] == ["record", "hours", "runs", "found", "alarms"]
    assert first.split()[2:] == ["1", "1", "1", "1", "0", "0", "50%"]
    assert second.split()[2:] == ["0", "0", "1", "0", "0", "1", "20%"]
    assert all_rows.split() == ["all", "2", "0.0", "1", "1", "2", "1", "0", "1", "35%"]
