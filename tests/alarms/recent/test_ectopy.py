"""Frequent ectopy: many single beats among the last ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.recent.ectopy import EctopyRule, frequent
from tests.alarms.recent.pieces import SOURCES, cut_sources, in_pieces

RULE = EctopyRule(least=3.4, flagged=4, window=8)
NOTHING = np.zeros(1, np.uint16)


def found(text):
    """At which beats of one source single beats are frequent: `V` a single beat, `.` another, `?` without a score."""
    score = np.array([{"V": 5.0, ".": 0.0, "?": np.nan}[one] for one in text], np.float32)
    is_frequent, _ = frequent(RULE, NOTHING, np.zeros(len(text), np.int64), score)
    return np.flatnonzero(is_frequent).tolist()


def test_bigeminy_is_found_at_its_fourth_early_beat():
    assert found("...V.V.V.V") == [9]


def test_every_third_beat_is_not_frequent_and_beats_without_a_score_do_not_count():
    assert found("V..V..V..V..V..V") == []
    assert found("?" * 20) == []


def test_it_ends_when_fewer_than_four_of_the_last_eight_are_single():
    assert found("V.V.V.V.........") == [6, 7]


@settings(max_examples=60)
@given(cut_sources(), st.integers(0, 2**16))
def test_batches_do_not_matter(cut, seed):
    source, ends = cut
    score = np.random.default_rng(seed).choice([0.0, 5.0, np.nan], len(source)).astype(np.float32)

    def rule(carry, *columns):
        return frequent(RULE, carry, *columns)

    whole = rule(np.zeros(SOURCES, np.uint16), source, score)
    assert all(map(np.array_equal, whole, in_pieces(rule, np.zeros(SOURCES, np.uint16), (source, score), ends)))
