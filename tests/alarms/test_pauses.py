"""In which times alarms of a source are paused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import pauses
from monitor.alarms.pauses import ACTIVE, ALL, FOREVER, ActivationState, PauseCommand, Pauses


def paused(*commands):
    found = Pauses()
    for command in commands:
        found.apply(command)
    return found


@pytest.mark.parametrize(
    ("time", "state"),
    [(9, ACTIVE), (10, ActivationState("paused", 20)), (19, ActivationState("paused", 20)), (20, ACTIVE)],
)
def test_a_pause_holds_from_its_beginning_to_before_its_end(time, state):
    assert paused(PauseCommand(b"a", True, 10, 20)).activation(b"a", time) == state


def test_of_two_pauses_the_longer_one_counts_and_the_last_command_of_a_source():
    both = paused(PauseCommand(b"a", True, 0, 90), PauseCommand(b"a", True, 0, 20), PauseCommand(ALL, True, 0, 50))
    assert both.activation(b"a", 5).until == both.activation(b"b", 5).until == 50
    both.apply(PauseCommand(ALL, False, 0, FOREVER))
    assert both.activation(b"a", 5).until == 20
    assert both.activation(b"b", 5) is ACTIVE


def test_a_pause_without_an_end_is_off():
    assert paused(PauseCommand(ALL, True, 0, FOREVER)).activation(b"a", 10**12) == ActivationState("off")


def test_of_too_many_pauses_the_oldest_of_a_single_source_is_forgotten(monkeypatch):
    monkeypatch.setattr(pauses, "MAX_PAUSES", 2)
    found = paused(*(PauseCommand(source, True, 0, 9) for source in (ALL, b"a", b"b")))
    assert [bool(found.of(source)) for source in (ALL, b"a", b"b")] == [True, True, True]
    assert [len(found.of(source)) for source in (b"a", b"b")] == [1, 2]


SPANS = st.lists(st.tuples(st.sampled_from([b"a", b"b", ALL]), st.integers(0, 20), st.integers(1, 20)), max_size=4)


@given(spans=SPANS, times=st.lists(st.integers(-1, 40), max_size=8))
def test_a_column_of_times_has_the_verdicts_of_each_of_them(spans, times):
    found = paused(*(PauseCommand(source, True, since, since + lasting) for source, since, lasting in spans))
    outside = found.outside(b"a", np.array(times, np.int64))
    assert outside.tolist() == [not found.holds(b"a", time) for time in times]
