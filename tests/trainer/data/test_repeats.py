"""A beat that is repeated, rounded, rescaled or cut again a little later is known, and beats of one patient are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import repeats


def walks(count, length=140, seed=0):
    return np.random.default_rng(seed).normal(size=(count, length)).cumsum(axis=1).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda beats: beats,
        lambda beats: beats * np.float32(3),
        lambda beats: beats + np.float32(7),
        lambda beats: np.round(beats, 2),
        lambda beats: beats + np.random.default_rng(1).normal(0, 0.01, beats.shape).astype(np.float32),
    ],
    ids=["the same", "other gain", "other offset", "rounded", "a little noise"],
)
def test_each_copy_is_known_with_the_beat_that_it_repeats(change):
    beats = walks(40)
    both = np.concatenate([beats, change(beats)[::-1], beats[:5]])
    assert repeats.originals(both).tolist() == [*range(40), *range(39, -1, -1), *range(5)]


def test_many_copies_of_few_beats_leave_these_few():
    beats = np.repeat(walks(7), 300, axis=0)
    noisy = beats + np.random.default_rng(2).normal(0, 0.005, beats.shape).astype(np.float32)
    assert repeats.distinct(noisy).sum() == 7


@pytest.mark.parametrize(("stride", "kept"), [(1, 71), (70, 140), (71, 71), (140, 140)])
def test_of_windows_that_overlap_by_half_or_more_one_is_kept(stride, kept):
    signal = walks(1, 6000)[0]
    starts = np.arange(0, 6000 - 140, stride)
    windows = np.stack([signal[start : start + 140] for start in starts])
    shuffled = np.random.default_rng(3).permutation(len(windows))
    assert np.diff(starts[repeats.distinct(windows)]).min() == kept
    left = np.sort(starts[shuffled][repeats.distinct(windows[shuffled])])
    assert np.diff(left).min() > 70


def test_no_beat_of_ecg5000_repeats_another(ecg5000):
    beats = np.concatenate([ecg5000.train.samples, ecg5000.test.samples])
    assert repeats.distinct(beats).all()


def test_padding_with_zeros_is_no_overlap():
    beats = walks(30)
    beats[:, :80] = 0
    beats[::2] = beats[::2, ::-1]
    assert repeats.distinct(beats).all()


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.integers(0, 5), max_size=30))
def test_the_first_of_each_beat_is_kept_in_any_order(rows):
    beats = walks(6)[rows] if rows else walks(0)
    assert repeats.originals(beats).tolist() == [rows.index(row) for row in rows]
