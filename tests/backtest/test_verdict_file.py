"""Verdicts are annotations that wfdb reads."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.alarms.rule import QUIET, BeatFlags, Event
from monitor.backtest import JudgedPiece, VerdictFile
from monitor.errors import RefusedError
from monitor.recordings.library import asked, imported


def read(tmp_path, verdicts):
    verdicts.write(tmp_path / "100.alarm")
    return asked(tmp_path, lambda: imported(tmp_path, "wfdb").rdann(str(tmp_path / "100"), "alarm"))


def judged(seconds, scores, *events, run=()):
    """Beats, of which some are flagged by a run; events are their names and rows."""
    flags = BeatFlags.of_population(np.zeros(len(scores), np.bool_), np.zeros(len(scores), np.int8))
    flags.run[list(run)] = 3
    medium = QUIET._replace(priority=1)
    found = [Event(name, "physiological", b"one", row, medium) for name, row in events]
    return JudgedPiece(np.asarray(seconds, float), np.array(scores, np.float32), flags, found)


def test_beats_are_like_their_source_or_not_and_notes_say_when_an_alarm_opens_and_closes(tmp_path):
    verdicts, events = VerdictFile(360.0, 2.6), (("opened", 6), ("closed", 11))
    verdicts.add(judged(np.arange(12) + 0.5, [np.nan, 0, 5, 0, 5, 5, 2, 0, 0, 0, 0, 0], *events, run=[6]))
    found = read(tmp_path, verdicts)
    assert "".join(found.symbol) == '?NQNQQQ"NNNNN"'
    assert [note for note in found.aux_note if note] == [
        "alarm opened, priority medium",
        "alarm closed, priority medium",
    ]
    assert found.fs == 360
    assert found.sample[[0, 6, 7]].tolist() == [180, 2340, 2341]


def test_hours_and_days_between_two_beats_are_kept(tmp_path):
    times = [3.0, 3_600.0, 400 * 86_400.0]
    verdicts = VerdictFile(100.0, 2.6)
    verdicts.add(judged(times, [0, 0, 0]))
    assert read(tmp_path, verdicts).sample.tolist() == [100 * time for time in times]


def test_a_file_that_cannot_be_written_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(RefusedError, match=r"nowhere/100.alarm: cannot be written: No such file or directory"):
        VerdictFile(250.0, 2.6).write(tmp_path / "nowhere" / "100.alarm")
