"""Frequent ectopy: many single beats among the last ones, apart from runs."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.recent.ectopy import EctopyCarry, EctopyRule, ectopy
from tests.alarms.recent.pieces import SOURCES, assert_batches_do_not_matter, cut_sources

RULE = EctopyRule()


def found(text):
    """What is said of beats of one source: `V` a single beat, `R` one of a run, `.` another, `?` without a score.

    `f` where ectopy is frequent or a run begins, `r` where it is so soon after a run.
    """
    score = np.array([{"V": 5.0, "R": 5.0, ".": 0.0, "?": np.nan}[one] for one in text], np.float32)
    run = np.array([one == "R" for one in text], np.int32)
    frequent, _ = ectopy(RULE, EctopyCarry.blank(1), np.zeros(len(text), np.int64), score, run)
    return "".join("-fr"[one] for one in frequent)


def test_bigeminy_is_found_at_its_fourth_early_beat():
    assert found("...V.V.V.V") == "---------f"


def test_every_third_beat_is_not_frequent_and_beats_without_a_score_do_not_count():
    assert found("V..V..V..V..V..V") == "-" * 16
    assert found("?" * 20) == "-" * 20


def test_it_ends_when_fewer_than_four_of_the_last_eight_are_single():
    assert found("V.V.V.V.........") == "------ff--------"


def test_five_beats_after_a_run_are_part_of_it():
    assert found("VVR.V.V.V.V") == "--f-rrrrfff"


def test_a_run_begins_five_other_beats_after_the_last_one():
    assert found("..R..R.....R....RR") == "--f--r-----f----rr"


@settings(max_examples=60)
@given(cut_sources(), st.integers(0, 2**16))
def test_batches_do_not_matter(cut, seed):
    source, ends = cut
    random = np.random.default_rng(seed)
    score = random.choice([0.0, 0.0, 5.0, np.nan], len(source)).astype(np.float32)
    run = random.choice([0, 0, 0, 0, 0, 3], len(source))

    def rule(carry, *columns):
        return ectopy(RULE, carry, *columns)

    assert_batches_do_not_matter(rule, EctopyCarry.blank(SOURCES), (source, score, run), ends)


def test_a_source_without_single_beats_is_as_it_was_before():
    carry = EctopyCarry(np.array([0, 5], np.uint16), np.array([0, 0], np.uint16))
    _, after = ectopy(RULE, carry, np.zeros(3, np.int64), np.zeros(3, np.float32), np.zeros(3, np.int64))
    assert [column.tolist() for column in after] == [[0, 5], [0, 0]]
