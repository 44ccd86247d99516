"""What is written to the state topic, and in which cases a row is to be deleted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor import state
from monitor.episode import Memory
from monitor.track import QUIET, Track, Trouble

NUMBER = st.integers(-(2**62), 2**62)
TRACK = st.builds(Track, st.integers(0, 2**64 - 1), *[NUMBER] * 7) | st.just(QUIET)


@given(st.builds(Trouble, st.tuples(TRACK, TRACK), NUMBER, NUMBER))
def test_a_row_is_read_as_it_was_written(trouble):
    assert state.decode(state.encode(trouble)) == trouble


def test_an_outdated_row_is_deleted_unless_its_source_is_written_anew():
    trouble = Trouble((Track(recent=1, length=1), QUIET), 0, 7)
    memories = [Memory(0, b"anew", trouble), Memory(0, b"over", None)]
    written, deleted = state.rows(memories, {0: (b"anew", b"gone"), 1: (b"anew",)}, "state")
    assert [(row.partition, row.key) for row in written] == [(0, b"anew")]
    assert {(row.partition, row.key, row.value) for row in deleted} == {
        (0, b"over", None),
        (0, b"gone", None),
        (1, b"anew", None),
    }
