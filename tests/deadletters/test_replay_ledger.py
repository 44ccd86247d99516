"""The ledger knows every position that its entries name and no other, whatever else stands on its topic."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.deadletters.replay_ledger import ReplayLedger, is_obsolete

POSITIONS = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1)


@given(st.lists(POSITIONS, max_size=5))
def test_what_was_entered_is_known_and_nothing_else(replays):
    replayed = ReplayLedger("id")
    for positions in replays:
        replayed.add(ReplayLedger("id").entry(positions)[1])
    entered = set().union(*replays)
    assert {(p, o) for p in range(5) for o in range(-1, 32) if (p, o) in replayed} == entered


@given(POSITIONS, POSITIONS)
def test_two_entries_never_share_a_key(one, other):
    other = other - one
    if other:
        assert ReplayLedger("id").entry(one)[0] != ReplayLedger("id").entry(other)[0]


def test_a_run_of_letters_takes_one_range_however_long():
    assert len(ReplayLedger("id").entry({(0, offset) for offset in range(100_000)})[1]) < 60


def test_a_topic_that_was_created_again_begins_without_entries():
    replayed = ReplayLedger("new")
    assert replayed.add(ReplayLedger("old").entry({(0, 1)})[1]) == {}
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
def test_nonsense_is_not_an_entry(value):
    replayed = ReplayLedger("id")
    assert replayed.add(value) is None
    assert (0, 1) not in replayed


def test_an_entry_is_obsolete_when_all_its_letters_are_gone():
    last = ReplayLedger("id").add(ReplayLedger("id").entry({(0, 1), (0, 5), (1, 2)})[1])
    assert last == {0: 5, 1: 2}
    assert not is_obsolete(last, {0: 5, 1: 3})
    assert is_obsolete(last, {0: 6, 1: 3})
    assert is_obsolete({}, {0: 0})
