"""One technical cause a beat, and the announcement of a source that was sick while it learned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.recent.technical import (
    ANNOUNCED_BEATS,
    TECHNICAL_CAUSES,
    LeadSigns,
    freezes,
    sick,
    technical_causes,
)
from monitor.profiles import Notice
from tests.alarms.recent.pieces import SOURCES, cut_sources


def cause(unscorable=0, *, misfit=False, noisy=False, is_sick=False):
    columns = np.array([unscorable], np.int8), *(np.array([one]) for one in (misfit, noisy, is_sick))
    code = technical_causes(LeadSigns(*columns))
    return TECHNICAL_CAUSES[code[0]], bool(freezes(code)[0])


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ({}, ("", False)),
        ({"unscorable": 1, "misfit": True, "noisy": True}, ("flat-line", True)),
        ({"misfit": True, "noisy": True, "is_sick": True}, ("model-does-not-fit", True)),
        ({"noisy": True, "is_sick": True}, ("noisy", False)),
        ({"is_sick": True}, ("sick-while-learning", False)),
    ],
)
def test_the_cause_that_says_most_stands_and_what_only_marks_does_not_freeze(signs, expected):
    assert cause(**signs) == expected


def announced(source, noticed, ends):
    """At which of these beats it is announced, in batches that end there."""
    found, carry, start = [], np.zeros(SOURCES, np.int8), 0
    for end in ends:
        notices = [Notice("sick-while-learning", 0, one - start) for one in noticed if start <= one < end]
        column, carry = sick(carry, source[start:end], notices)
        found.append(column)
        start = end
    return np.concatenate(found), carry


def test_the_beats_after_the_notice_announce_it_for_a_while():
    source = np.zeros(100, np.int64)
    found, carry = announced(source, [10], [100])
    assert np.flatnonzero(found).tolist() == list(range(11, 11 + ANNOUNCED_BEATS))
    assert not carry.any()


def test_a_source_that_learned_well_announces_nothing():
    assert not sick(np.zeros(1, np.int8), np.zeros(9, np.int64), [Notice("learned", 0, 3)])[0].any()


@given(cut_sources(longest=200), st.data())
def test_batches_do_not_matter(cut, data):
    source, ends = cut
    noticed = data.draw(st.lists(st.integers(0, len(source) - 1), max_size=3)) if len(source) else []
    whole = announced(source, noticed, [len(source)])
    assert all(map(np.array_equal, whole, announced(source, noticed, ends)))
