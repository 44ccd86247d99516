"""The model is asked about sources that wait, however many there are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.recent.model_fit import FITS, UNDECIDED, FitCarry, fit
from monitor.alarms.recent.waiting import WaitingSources
from tests.alarms.recent.pieces import SOURCES, cut_sources

NAMES = np.array([b"a", b"b", b"c", None], np.object_)[:-1]


def judged(sources, names, above):
    return sources.judge(np.zeros(len(names), np.int32), np.array([*names, None], np.object_)[:-1], np.array(above))


@settings(max_examples=40)
@given(cut_sources(), st.integers(0, 2**16))
def test_verdicts_are_those_of_the_rule_whatever_the_batches(cut, seed):
    source, ends = cut
    above = np.random.default_rng(seed).random(len(source)) < 0.5
    wanted, _ = fit(FitCarry.blank(SOURCES), source, above)
    waiting, start, found = WaitingSources(), 0, []
    for end in ends:
        found += judged(waiting, NAMES[source[start:end]].tolist(), above[start:end]).tolist()
        start = end
    assert found == wanted.tolist()


def test_the_source_that_was_not_heard_for_the_longest_time_is_forgotten():
    waiting = WaitingSources(most=2)
    for name in (b"a", b"b", b"a", b"c"):
        judged(waiting, [name] * 12, [False] * 12)
    assert len(waiting) == 2
    assert [judged(waiting, [name], [True])[0] for name in (b"a", b"b")] == [FITS, UNDECIDED]
