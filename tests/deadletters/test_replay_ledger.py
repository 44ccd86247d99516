"""Notes of what went back: every place they name and no other, whatever else stands beside them."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.deadletters.replay_ledger import ReplayLedger, is_obsolete

PLACES = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1)


@given(st.lists(PLACES, max_size=5))
def test_what_is_noted_is_known_and_nothing_else(deliveries):
    replayed = ReplayLedger("id")
    for places in deliveries:
        replayed.add(ReplayLedger("id").note(places)[1])
    noted = set().union(*deliveries)
    assert {(p, o) for p in range(5) for o in range(-1, 32) if (p, o) in replayed} == noted


@given(PLACES, PLACES)
def test_two_deliveries_never_share_a_key(one, other):
    other = other - one
    if other:
        assert ReplayLedger("id").note(one)[0] != ReplayLedger("id").note(other)[0]


def test_a_run_of_letters_takes_one_range_however_long():
    assert len(ReplayLedger("id").note({(0, offset) for offset in range(100_000)})[1]) < 60


def test_a_topic_made_anew_begins_without_notes():
    replayed = ReplayLedger("new")
    assert replayed.add(ReplayLedger("old").note({(0, 1)})[1]) == {}
    assert (0, 1) not in replayed


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"1",
        b"{}",
        b'{"topic_id": "id", "replayed": {"a": [[1, 2]]}}',
        b'{"replayed": {"0": [[1, 1e999]]}}',
    ]
    + [orjson.dumps({"topic_id": "id", "replayed": bad}) for bad in ([], {"0": 1}, {"0": [[1]]}, {"0": [["x", None]]})],
)
def test_nonsense_is_no_note(value):
    replayed = ReplayLedger("id")
    assert replayed.add(value) is None
    assert (0, 1) not in replayed


def test_a_note_is_obsolete_when_all_its_letters_are_gone():
    last = ReplayLedger("id").add(ReplayLedger("id").note({(0, 1), (0, 5), (1, 2)})[1])
    assert last == {0: 5, 1: 2}
    assert not is_obsolete(last, {0: 5, 1: 3})
    assert is_obsolete(last, {0: 6, 1: 3})
    assert is_obsolete({}, {0: 0})
