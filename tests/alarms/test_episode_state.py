"""What is written to the state topic, and in which cases a row is to be deleted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import episode_state
from monitor.alarms.episodes import StateChange
from monitor.alarms.rule import MAX_WINDOW, QUIET, EpisodeState, SourceState

NUMBER = st.integers(-episode_state.MAX_NUMBER, episode_state.MAX_NUMBER - 1)
COUNT = st.integers(0, episode_state.MAX_NUMBER - 1)
TRACK = st.just(QUIET) | st.builds(
    EpisodeState,
    recent=st.integers(0, 2**MAX_WINDOW - 1),
    length=st.integers(0, MAX_WINDOW),
    unflagged=COUNT,
    opened_offset=NUMBER,
    opened_at=NUMBER,
    flagged_beats=COUNT,
    seen_beats=COUNT,
    cause=COUNT,
)


@given(st.builds(SourceState, st.tuples(TRACK, TRACK), NUMBER, NUMBER))
def test_a_row_is_read_as_it_was_written(state):
    assert episode_state.decode(episode_state.encode(state)) == state


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
