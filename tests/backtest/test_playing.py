"""A recording is judged by its own normal, in pieces, and what cannot be judged does not count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.backtest import BacktestPlan, StepPlan, StepPlayer, backtest
from monitor.errors import RecordingError
from monitor.recordings import open_recording
from monitor.recordings.player import segmenter_of, segments_of
from monitor.settings import Settings
from tests.backtest import made_up
from tests.recordings import leads

PLAN = BacktestPlan(("normal", "quiet", "sensitive"), StepPlan(Settings(profile_seconds=120)))


def pieces(recording, player, *, noise=True):
    segmenter = segmenter_of(recording, PLAN.step.window)
    return [player.feed(one, noise=noise) for one in segments_of(recording, segmenter) if len(one)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A lead with a run of five ventricular beats after its profile was learned."""
    kinds = made_up.LEARNED + "VVVVV" + "N" * 20
    return open_recording(made_up.write(tmp_path_factory.mktemp("records"), "100", kinds)[0])


def test_a_run_is_found_and_nothing_else_opens(recording):
    result = backtest(recording, PLAN)
    counted = result.counted[0]
    assert (counted.runs, counted.found, counted.long_found, counted.episodes, counted.false) == (1, 1, 1, 1, 0)
    assert (counted.latencies, result.is_learned, result.is_sick, result.templates) == ((3,), True, False, 1)
    assert counted.hours == pytest.approx((recording.seconds - 120) / 3600)
    assert (result.priority, result.longest_seconds) == (result.episodes[0].priority, result.episodes[0].open_seconds)


def test_each_sensitivity_has_its_own_counts(recording):
    together = backtest(recording, PLAN)
    for number, one in enumerate(PLAN.sensitivities):
        assert backtest(recording, replace(PLAN, sensitivities=(one,))).counted[0] == together.counted[number]


@pytest.mark.parametrize("noise", [True, False])
def test_the_pieces_in_which_a_file_is_read_change_no_score(recording, noise):
    signal = leads.MemorySignal(recording.samples)  # in pieces of 10 s, not of a minute
    scores = [
        np.concatenate([piece.scores for piece in pieces(one, StepPlayer(PLAN.step), noise=noise)])
        for one in (recording, replace(recording, signal=signal))
    ]
    assert np.isfinite(scores[0]).any()
    assert np.array_equal(*scores, equal_nan=True)


def test_without_annotations_every_opening_is_one_of_unknown_cause(recording):
    result = backtest(replace(recording, annotations=None), PLAN)
    assert not result.is_annotated
    assert (result.counted[0].episodes, result.counted[0].runs) == (1, 0)


def test_a_recording_that_is_too_short_to_learn_is_not_judged():
    recording, _ = leads.recording(60.0)
    result = backtest(recording, PLAN)
    assert (result.is_learned, result.counted[0].hours, result.priority, result.longest_seconds) == (
        False,
        0,
        None,
        None,
    )


def test_time_does_not_count_while_a_profile_is_late():
    signal, _ = made_up.lead("N" * 300)
    signal[int(20 * made_up.HZ) : int(100 * made_up.HZ)] = np.nan  # no beats for 80 s
    recording, _ = leads.recording(len(signal) / made_up.HZ)
    recording = replace(recording, signal=leads.MemorySignal(signal))
    player = StepPlayer(PLAN.step)
    assert sum(np.isfinite(one.scores).sum() for one in pieces(recording, player)) > 0
    judged = 3600 * backtest(recording, PLAN).counted[0].hours
    assert player.learned_at > 190
    assert judged == pytest.approx(recording.seconds - player.learned_at)


def test_an_error_in_the_middle_says_until_when_the_recording_was_judged():
    recording, _ = leads.recording(30.0, is_damaged=True)
    with pytest.raises(RecordingError, match=r"ends too early \(judged before: \d+ beats, until 2\d\.\d+ s\)"):
        backtest(recording, PLAN)
