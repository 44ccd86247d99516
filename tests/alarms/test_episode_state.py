"""What is written to the state topic, and in which cases a row is to be deleted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import episode_state
from monitor.alarms.control_message import MAX_ACKNOWLEDGE_NOTE, MAX_BY
from monitor.alarms.episodes import StateChange
from monitor.alarms.lifecycle import Acknowledgement, AlarmLife
from monitor.alarms.rule import KINDS, MAX_WINDOW, QUIET, EpisodeState, SourceState
from monitor.alarms.run_rule import PRIORITIES
from monitor.records.stream_time import MAX_TIME_MS

NUMBER = st.integers(-episode_state.MAX_NUMBER, episode_state.MAX_NUMBER - 1)
COUNT = st.integers(0, episode_state.MAX_NUMBER - 1)
WINDOW = {
    "recent": st.integers(0, 2**MAX_WINDOW - 1),
    "length": st.integers(0, MAX_WINDOW),
    "unflagged": COUNT,
    "opened_at": st.integers(-episode_state.MAX_TIME, episode_state.MAX_TIME - 1),
    "flagged_beats": COUNT,
    "seen_beats": COUNT,
    "cause": COUNT,
    "priority": st.sampled_from(range(len(PRIORITIES))),
}
TRACK = (
    st.just(QUIET)
    | st.builds(EpisodeState, opened_offset=NUMBER, closed_at=st.just(QUIET.closed_at), **WINDOW)
    | st.builds(EpisodeState, opened_offset=COUNT, closed_at=COUNT, **WINDOW)
)
CLOSED = EpisodeState(opened_offset=5, opened_at=10, flagged_beats=3, seen_beats=8, cause=1, closed_at=20, priority=0)


@given(st.builds(SourceState, st.tuples(TRACK, TRACK), NUMBER, NUMBER))
def test_a_row_is_read_as_it_was_written(state):
    assert episode_state.decode(episode_state.encode(state)) == state


def row(episode):
    return episode_state.encode(SourceState((episode, QUIET), 0, 7))


def test_a_row_without_an_episode_that_closed_and_with_the_usual_priority_is_that_of_older_versions():
    older = b"".join(
        [
            b'{"schema":1,"offset":7,"clock":0,"tracks":{"physiological":{"recent":7,"length":3,"unflagged":0,',
            b'"opened_offset":5,"opened_at":10,"flagged_beats":3,"seen_beats":3,"cause":1}}}',
        ]
    )
    opened = EpisodeState(7, 3, 0, 5, 10, 3, 3, 1)
    assert row(opened) == older
    assert episode_state.decode(older).episodes == (opened, QUIET)


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": 3},
        {"priority": -1},
        {"closed_at": -2},
        {"closed_at": 2**62},
        {"opened_at": 2**63},
        {"closed_at": 20, "opened_offset": -1},
    ],
)
def test_a_row_with_a_number_that_no_monitor_writes_is_refused(wrong):
    with pytest.raises(ValueError, match="none that a monitor writes"):
        episode_state.decode(row(CLOSED._replace(**wrong)))


def test_the_largest_row_is_within_the_limit():
    largest = EpisodeState(2**64 - 1, 64, *[2**62 - 1] * 7, 2)
    given = Acknowledgement("\U0001f600" * MAX_BY, MAX_TIME_MS, "\U0001f600" * MAX_ACKNOWLEDGE_NOTE, 2**62 - 1)
    life = AlarmLife(2**62 - 1, "latched", 2, 2**62 - 2, given, 2**62 - 1, largest._replace(closed_at=-1))
    state, lives = SourceState((largest, largest), 2**62 - 1, 2**62 - 1), dict.fromkeys(KINDS, life)
    value = episode_state.encode(state, lives)
    assert len(value) <= episode_state.MAX_ROW_BYTES
    assert episode_state.decode_all(value) == (state, lives)


LATCHED = AlarmLife(5, "latched", 2, 5, ended=CLOSED._replace(closed_at=-1, priority=2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "on"},
        {"state": "acknowledged"},
        {"ended": None},
        {"ended": CLOSED},
        {"alarm": 6},
        {"state": "off", "episode": 4},
        {"priority": 3},
        {"state": "elsewhere"},
    ],
)
def test_an_alarm_that_no_monitor_writes_is_refused(wrong):
    row = episode_state.encode(SourceState((CLOSED, QUIET), 0, 7), {"physiological": LATCHED})
    assert episode_state.decode_all(row)[1] == {"physiological": LATCHED}
    with pytest.raises(ValueError, match="alarm"):
        episode_state.decode(
            episode_state.encode(SourceState((CLOSED, QUIET), 0, 7), {"physiological": LATCHED._replace(**wrong)})
        )


def test_an_outdated_row_is_deleted_unless_its_source_is_written_again():
    state = SourceState((EpisodeState(recent=1, length=1), QUIET), 0, 7)
    changes = [StateChange(0, b"back", state), StateChange(0, b"over", None)]
    written, deleted = episode_state.rows(changes, {0: (b"back", b"gone"), 1: (b"back",)}, "state", "g")
    assert [(row.partition, row.key, row.headers) for row in written] == [(0, b"back", (("group", b"g"),))]
    assert {(row.partition, row.key, row.value) for row in deleted} == {
        (0, b"over", None),
        (0, b"gone", None),
        (1, b"back", None),
    }
