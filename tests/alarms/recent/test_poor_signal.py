"""Poor signal: most of a minute, and what is not known."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.recent.poor_signal import SignalBeats, SignalCarry, poor_signal
from tests.alarms.recent.pieces import SOURCES, assert_batches_do_not_matter, cut_sources

RR = 0.75  # 80 beats a minute
LOUD, QUIET = 2.0, 0.0


def noisy(noise, times=None, rr=None):
    """Which beats of one source are noisy; a beat every RR seconds from the epoch on."""
    noise = np.array(noise, np.float32)
    time_ms = np.arange(len(noise)) * round(1000 * RR) if times is None else times
    beats = SignalBeats(
        np.zeros(len(noise), np.int64), time_ms, np.full(len(noise), RR if rr is None else rr, np.float32), noise
    )
    return poor_signal(SignalCarry.blank(1), beats)[0]


def test_a_minute_of_noise_marks_the_beats_of_the_next_minute():
    found = noisy([LOUD] * 80 + [QUIET] * 160)
    assert np.flatnonzero(found).tolist() == list(range(80, 160))


def test_less_than_half_a_minute_does_not():
    assert not noisy(([LOUD] * 38 + [QUIET] * 42) * 3).any()
    assert noisy(([LOUD] * 50 + [QUIET] * 30) * 3).any()


def test_a_few_noisy_beats_among_others_are_not_poor_signal():
    assert not noisy(([LOUD] * 4 + [QUIET] * 4) * 40).any()
    assert noisy(([LOUD] * 5 + [QUIET] * 3) * 40).any()


def test_noise_that_is_not_known_and_beats_without_rr_say_nothing():
    assert not noisy([np.nan] * 200).any()
    assert not noisy([LOUD] * 200, rr=np.nan).any()


def test_the_minute_after_a_gap_is_not_marked():
    times = np.arange(160) * 750 + np.repeat([0, 60_000], 80)
    assert not noisy([LOUD] * 80 + [QUIET] * 80, times).any()


@settings(max_examples=60)
@given(cut_sources(), st.integers(0, 2**16))
def test_batches_do_not_matter(cut, seed):
    source, ends = cut
    random = np.random.default_rng(seed)
    steps = random.choice([-70_000, 900, 20_000, 60_000, 2**62], len(source), p=[0.05, 0.3, 0.5, 0.1, 0.05])
    rr = random.choice([np.nan, 0.8, 5.0], len(source)).astype(np.float32)
    noise = random.choice([np.nan, QUIET, LOUD], len(source), p=[0.05, 0.15, 0.8]).astype(np.float32)
    columns = source, np.cumsum(steps), rr, noise
    assert_batches_do_not_matter(
        lambda carry, *part: poor_signal(carry, SignalBeats(*part)), SignalCarry.blank(SOURCES), columns, ends
    )


def test_with_many_beats_of_few_sources_batches_do_not_matter():
    random = np.random.default_rng(1)
    source = random.integers(SOURCES, size=600)
    columns = source, np.arange(600) * 250, np.full(600, RR, np.float32), np.full(600, LOUD, np.float32)
    carry = SignalCarry.blank(SOURCES)
    found, _ = poor_signal(carry, SignalBeats(*columns))
    assert found.any()
    assert_batches_do_not_matter(
        lambda carry, *part: poor_signal(carry, SignalBeats(*part)), carry, columns, [100, 333, 600]
    )
