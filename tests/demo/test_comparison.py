"""Alarms of a recording beside its annotations."""

from __future__ import annotations

import numpy as np

from monitor.backtest import OpenStretch, PlayedEpisode
from monitor.demo import comparison
from monitor.recordings import Annotations
from monitor.settings import Settings

CALM = "N" * 310


def compared(symbols, *alarms):
    """A beat a second; the first and the last second of each alarm."""
    notes = Annotations(np.arange(len(symbols), dtype=float), tuple(symbols), ("",) * len(symbols))
    episodes = [PlayedEpisode((OpenStretch(*alarm),), "medium", 3) for alarm in alarms]
    return comparison.compare("100", float(len(symbols)), notes, episodes)


def test_the_time_in_which_a_monitor_without_settings_learns_does_not_count():
    assert Settings.model_fields["profile_seconds"].default == comparison.LEARNING_SECONDS
    one = compared("NNVVVNN" + CALM, (4, 9))
    assert (one.counted.runs, one.counted.episodes) == (0, 0)


def test_an_alarm_without_a_run_is_false():
    one = compared(CALM + "NNNVVVNNNNNNNNNNNN", (315, 317), (320, 324))
    assert (one.counted.runs, one.counted.found, one.counted.episodes, one.counted.false) == (1, 1, 2, 1)


def test_the_table_has_a_row_for_each_recording_and_one_for_all():
    rows = [compared(CALM + "NNNVVVNNNN", (314, 319)), compared(CALM + "N" * 10, (313, 315))]
    head, first, second, all_rows = comparison.table(rows).splitlines()
    assert head.split()[:5] == ["record", "hours", "runs", "found", "alarms"]
    assert first.split()[2:] == ["1", "1", "1", "0", "0", "0%"]
    assert second.split()[2:] == ["0", "0", "1", "1", "1", "10%"]
    assert all_rows.split() == ["all", "2", "0.0", "1", "1", "2", "1", "1", "5%"]
