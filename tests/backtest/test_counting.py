"""How episodes are counted against annotations."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.backtest import OpenStretch, PlayedEpisode, bootstrap, count, total, truth_of
from monitor.recordings import Annotations


def annotated(text, notes=None):
    """Annotations a second apart, from second 0, and what they say; the recording lasts an hour."""
    marks = tuple(text)
    given = tuple((notes or {}).get(number, "") for number in range(len(marks)))
    return truth_of(Annotations(np.arange(len(marks), dtype=float), marks, given), 3600.0)


def episode(*stretches):
    return PlayedEpisode(tuple(OpenStretch(*one) for one in stretches), "low", 3)


def test_runs_are_three_ventricular_beats_in_a_row_and_more():
    truth = annotated("NVVNVVVNFVFVNVEVVVN")
    assert [(run.seconds[0], run.beats) for run in truth.runs] == [(4, 3), (13, 5)]


def test_rhythm_changes_between_two_beats_do_not_end_a_run():
    assert [run.beats for run in annotated("NVV+VN").runs] == [3]


def test_fibrillation_of_five_seconds_is_a_run_without_beats():
    truth = annotated("N[!!!!]NN[!]N")
    assert [(run.seconds[0], len(run.seconds), run.beats) for run in truth.runs] == [(1, 5, 0)]


def test_changes_are_those_of_rhythm_and_of_conduction():
    assert annotated("NN+NLLVLNN").changes.tolist() == [2, 4, 8]


def test_a_run_is_found_when_an_episode_is_open_at_one_of_its_beats():
    truth = annotated("N" * 10 + "VVVVV" + "N" * 10 + "VVV" + "N" * 30)
    counted = count(truth, [episode((12.0, 20.0)), episode((40.0, 45.0))], 0.0)
    assert (counted.runs, counted.found, counted.long_runs, counted.long_found) == (2, 1, 1, 1)
    assert (counted.episodes, counted.false, counted.latencies, counted.prompt) == (2, 1, (3,), 1)
    assert (counted.hours, counted.false_seconds) == (1.0, 5.0)


def test_an_episode_that_opens_again_at_a_run_is_not_false():
    truth = annotated("N" * 30 + "VVV" + "N" * 30)
    assert count(truth, [episode((5.0, 10.0), (31.0, 40.0))], 0.0).false == 0
    assert count(truth, [episode((5.0, 10.0), (50.0, 55.0))], 0.0).false == 1


def test_an_episode_at_an_annotated_change_is_false_but_counted_apart():
    counted = count(annotated("N" * 20 + "L" * 60), [episode((24.0, 30.0)), episode((60.0, 65.0))], 0.0)
    assert (counted.false, counted.false_unchanged) == (2, 1)


def test_what_happens_while_a_source_learns_does_not_count():
    truth = annotated("NVVVN" + "N" * 400)
    counted = count(truth, [episode((2.0, 8.0))], 300.0)
    assert (counted.hours, counted.episodes, counted.runs) == (pytest.approx(3300 / 3600), 0, 0)


def test_recordings_are_added_and_drawn_again_for_a_range():
    parts = [count(annotated("N" * 50), [episode((9.0, 12.0))] * number, 0.0) for number in (0, 1, 2)]
    assert total(parts).false == 3
    found = bootstrap(parts, lambda one: one.false / one.hours)
    assert found.value == pytest.approx(1.0)
    assert 0 <= found.low < found.value < found.high <= 2
