"""Episodes and verdicts are those of the rule, however the beats come in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.run_rule import RunRule
from monitor.backtest import LeadScores, OpenStretch, RulePlayer


def beats(scores, rr=0.5, first=0):
    """Beats a second apart."""
    scores = np.asarray(scores, np.float32)
    return LeadScores(first + np.arange(float(len(scores))), scores, np.full(len(scores), rr, np.float32))


def played(scores, rr=0.5):
    player = RulePlayer(RunRule())
    return player.feed(beats(scores, rr)), player.episodes()


def test_episodes_are_those_of_the_rule():
    scores = np.full(40, -1, np.float32)
    scores[[5, 6, 7, 30, 31, 32, 33]] = 5
    verdicts, (found,) = played(scores)
    assert [(one.start, one.end) for one in found.stretches] == [(7, 12), (32, 38)]
    assert (found.flagged_beats, found.priority, found.open_seconds) == (5, "medium", 11)
    assert {place: one.event for place, one in enumerate(verdicts) if one.event} == {
        7: "opened", 12: "closed", 32: "reopened", 38: "closed",
    }  # fmt: skip
    assert [place for place, one in enumerate(verdicts) if one.is_flagged] == [7, 32, 33]


def test_an_open_episode_ends_with_the_recording_and_scores_that_are_not_known_say_nothing():
    _, (found,) = played([np.nan] * 9 + [5] * 4, np.nan)
    assert found.stretches == (OpenStretch(11.0, 12.0),)
    assert found.priority == "low"


def test_without_beats_there_is_no_episode():
    assert played([]) == ([], ())


@given(st.lists(st.sampled_from([-1.0, 2.0, 5.0, np.nan]), max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_the_pieces_in_which_beats_come_change_nothing(scores, cuts):
    places = [0, *sorted(min(cut, len(scores)) for cut in cuts), len(scores)]
    player = RulePlayer(RunRule())
    pieces = [beats(scores[start:end], first=start) for start, end in pairwise(places)]
    assert ([one for piece in pieces for one in player.feed(piece)], player.episodes()) == played(scores)
