"""The rule `run`: when an episode opens, closes, opens again and becomes more urgent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.run_rule import PRIORITIES, RunRule
from tests.alarms.run_beat_by_beat import QUIET_RUN, ScoredBeat, after_scored_beat

NORMAL = RunRule()


def play(scores, rule=NORMAL, rr=800, gaps=None, abnormal=()):
    """Events of a source's beats: (name, number of the beat). `gaps`: ms before a beat, where it is not `rr`."""
    state, events, time = QUIET_RUN, [], 0
    for number, score in enumerate(scores):
        time += (gaps or {}).get(number, rr)
        state, event = after_scored_beat(state, rule, ScoredBeat(number, time, score, rr, number in abnormal))
        events += [(event, number)] if event else []
    return events, state


HIGH, LOW = 5.0, -1.0


def test_three_high_beats_in_a_row_open_an_episode_and_five_others_close_it():
    events, state = play([LOW, HIGH, HIGH, HIGH, LOW, LOW, LOW, LOW, LOW])
    assert events == [("opened", 3), ("closed", 8)]
    assert (state.opened_offset, state.flagged_beats, state.seen_beats) == (3, 3, 8)


def test_couplets_and_bigeminy_stay_silent():
    assert play([HIGH, LOW] * 20 + [HIGH, HIGH, LOW] * 20 + [LOW]) == ([], QUIET_RUN)


def test_three_beats_that_are_high_only_on_average_do_not_open_one():
    assert play([6.0, 2.0, 6.0, LOW])[0] == []


def test_six_beats_of_medium_height_open_one_at_the_sixth():
    assert play([5.0, 5.0, 1.5] * 2)[0] == [("opened", 5)]
    assert play([5.0, 5.0, 1.3] * 4)[0] == []


@pytest.mark.parametrize(("sensitivity", "opens"), [("quiet", False), ("normal", True), ("sensitive", True)])
def test_the_sensitivity_moves_the_least_score(sensitivity, opens):
    assert bool(play([4.5, 3.0, 4.5], RunRule.of(sensitivity))[0]) is opens
    assert bool(play([4.8, 2.0, 4.8], RunRule.of(sensitivity))[0]) is (sensitivity == "sensitive")


def test_opening_again_within_120_seconds_is_the_same_episode():
    scores = [HIGH] * 3 + [LOW] * 5 + [HIGH] * 3
    events, state = play(scores, gaps={8: 100_000})
    assert events == [("opened", 2), ("closed", 7), ("reopened", 10)]
    assert state.opened_offset == 2
    events, state = play(scores, gaps={8: 130_000})
    assert events == [("opened", 2), ("closed", 7), ("opened", 10)]
    assert state.opened_offset == 10


def test_a_source_is_forgotten_120_seconds_after_its_episode():
    events, state = play([HIGH] * 3 + [LOW] * 6, gaps={8: 130_000})
    assert (events[-1], state) == (("closed", 7), QUIET_RUN)


@pytest.mark.parametrize(
    ("beats", "rr", "priority"),
    [(3, 700, "low"), (3, 500, "medium"), (5, 500, "high"), (3, 390, "high"), (9, 700, "low"), (9, 0, "low")],
)
def test_the_priority_follows_rate_and_length(beats, rr, priority):
    assert PRIORITIES[play([HIGH] * beats, rr=rr)[1].priority] == priority


def test_the_priority_only_rises_while_open():
    events, state = play([HIGH] * 5 + [LOW] * 2 + [HIGH], rr=500)
    assert events == [("opened", 2), ("raised", 4)]
    assert PRIORITIES[state.priority] == "high"


def test_while_a_source_learns_its_population_score_decides():
    assert play([None] * 9, abnormal={1, 3, 4})[0] == [("opened", 4)]
    assert play([None] * 9, abnormal={1, 4, 7})[0] == []
    events, _ = play([None] * 5 + [LOW] * 5, abnormal={1, 3, 4})
    assert events == [("opened", 4), ("closed", 9)]


SCORES = st.none() | st.floats(-2, 6)


@given(st.lists(st.tuples(SCORES, st.integers(0, 200_000), st.integers(0, 2000), st.booleans()), max_size=80))
def test_events_come_in_an_order_that_makes_sense(beats):
    state, time, is_open, known = QUIET_RUN, 0, False, False
    for offset, (score, gap, rr, flag) in enumerate(beats):
        time += gap
        before = state
        state, event = after_scored_beat(state, RunRule(), ScoredBeat(offset, time, score, rr, flag))
        assert event in {True: (None, "raised", "closed"), False: (None, "opened", "reopened")}[is_open]
        assert event != "reopened" or known
        is_open, known = state.is_open, state.opened_offset >= 0
        assert not (is_open and before.is_open) or state.priority >= before.priority
        assert is_open == (is_open and known)
