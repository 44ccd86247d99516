"""The stored form of a profile: exact, bounded, and strict with what it reads."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms import run_rule
from monitor.alarms.recent import model_fit, poor_signal, technical
from monitor.profiles import MAX_PROFILE_BYTES, Profiles, columns
from monitor.profiles.columns import LOWEST_SCORE, NEVER
from monitor.profiles.stored import MOST_CARRIED
from tests.profiles.beats_of_sources import batch, normal, played, source


@cache
def state(kinds):
    profiles = Profiles(120.0)
    row, _ = played(profiles, kinds)
    return profiles.encode(np.array([row]))[0]


def again(stored):
    profiles = Profiles(120.0)
    return profiles.encode(profiles.restore(stored).rows)


def refused(*stored):
    """The sentences about these states, of which none is right."""
    profiles = Profiles(120.0)
    restored = profiles.restore(stored)
    assert (len(profiles), restored.rows.tolist()) == (0, [-1] * len(stored))
    return list(restored.faults.values())


LEARNING, KNOWN, TWO, CANDIDATE = "N" * 50, "N" * 200, "NNNNNNNB" * 30, "N" * 200 + "B" * 30
STATES = [LEARNING, KNOWN, TWO, CANDIDATE]


@pytest.mark.parametrize("kinds", STATES)
def test_what_is_stored_is_read_back_exactly(kinds):
    assert again([state(kinds)]) == [state(kinds)]
    assert len(state(kinds)) <= MAX_PROFILE_BYTES


def test_a_new_source_can_be_stored():
    profiles = Profiles()
    stored = profiles.encode(profiles.add())
    assert again(stored) == stored


def test_states_of_every_shape_are_read_together_and_a_bad_one_hurts_no_other():
    good = [state(kinds) for kinds in STATES]
    restored = Profiles(120.0).restore([good[0], b"bad", *good[1:]])
    assert (list(restored.faults), restored.rows[1]) == ([1], -1)
    assert again(good) == good


def test_a_profile_takes_little_more_than_a_kilobyte_a_template():
    assert (len(state(KNOWN)), len(state(TWO))) == (1119, 1847)
    assert len(state(LEARNING)) < 16_000


def sealed(body):
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(kinds=st.sampled_from([LEARNING, KNOWN, CANDIDATE]), data=st.data())
def test_damaged_bytes_are_refused_in_a_sentence(kinds, data):
    good = state(kinds)
    place = data.draw(st.integers(0, len(good) - 1))
    value = data.draw(st.integers(1, 255))
    bad = bytearray(good)
    bad[place] ^= value
    assert " " in refused(bytes(bad))[0]


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda rest: b"ECGP\x03\x01\x00\x00" + rest))
def test_other_bytes_are_refused_in_a_sentence(value):
    assert " " in refused(value)[0]


def test_a_signalling_nan_does_no_harm():
    bad = bytearray(state(CANDIDATE)[:-4])
    bad[252:256] = b"\x01\x00\x80\x7f"  # of q
    profiles = Profiles(120.0)
    rows = profiles.restore([sealed(bytes(bad))]).rows
    samples = np.tile(normal().astype(np.float32), (60, 1))
    profiles.observe(batch(profiles, np.repeat(rows, 60), samples, 2**40 + 800 * np.arange(60, dtype=np.int64)))


@given(kinds=st.sampled_from([LEARNING, KNOWN, CANDIDATE]), data=st.data())
def test_forged_numbers_are_refused_or_do_no_harm(kinds, data):
    """With a right checksum: what is accepted can be compared with beats, stored and forgotten."""
    bad = bytearray(state(kinds)[:-4])
    for place, value in data.draw(st.lists(st.tuples(st.integers(8, len(bad) - 1), st.integers(0, 255)), max_size=6)):
        bad[place] = value
    profiles = Profiles(120.0)
    rows = profiles.restore([sealed(bytes(bad))]).rows
    if rows[0] < 0:
        assert len(profiles) == 0
        return
    times = 2**40 + 800 * np.arange(60, dtype=np.int64)
    samples = np.tile(normal().astype(np.float32), (60, 1))
    profiles.observe(batch(profiles, np.repeat(rows, 60), samples, times))
    assert not Profiles(120.0).restore(profiles.encode(rows)).faults
    profiles.remove(rows)


PARTS = st.tuples(
    st.sampled_from(["N", "NV", "NB", "V"]),
    st.sampled_from([3, 40, 200]),  # beats
    st.sampled_from([1.0, 1e-9, 1e-3, 1e8]),  # in place of a millivolt
    st.sampled_from([0, -(10**6), 10**7, 2**47, None]),  # ms before the first of them; None: without times
)


@settings(max_examples=25)
@given(st.lists(PARTS, min_size=1, max_size=3))
def test_what_is_learned_of_any_beats_can_be_read_back(parts):
    profiles = Profiles(120.0)
    row, end = int(profiles.add()[0]), 2**40
    for kinds, beats, unit, pause in parts:
        samples, times = source((kinds * beats)[:beats], seed=beats)
        times = np.full(beats, NEVER) if pause is None else times + end + pause
        end = end if pause is None else int(times[-1])
        profiles.observe(batch(profiles, np.full(beats, row), samples * np.float32(unit), times))
    stored = profiles.encode(np.array([row]))
    assert again(stored) == stored


def test_bounds_of_what_the_rules_remember_are_those_of_the_rules():
    assert LOWEST_SCORE == run_rule.LOWEST
    assert columns.blank_source()["carry"]["minute"] == poor_signal.NO_MINUTE
    assert MOST_CARRIED == {
        "fit_beats": model_fit.BLOCK - 1,
        "fit_above": model_fit.BLOCK - 1,
        "fit": model_fit.FITS,
        "poor_ms": poor_signal.MINUTE_MS,
        "is_noisy": 1,
        "sick": technical.ANNOUNCED_BEATS,
    }
