"""The noise between beats: what it is, and that the pieces of a recording change nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.backtest.noise import LeadNoise
from tests.backtest import made_up

SIGNAL, PEAKS = made_up.lead("N" * 30)


def noise(signal, peaks=PEAKS):
    lead = LeadNoise(made_up.HZ)
    lead.feed(signal)
    return lead.before(peaks)


def test_noise_is_that_between_beats_and_of_the_first_beat_it_is_not_known():
    quiet, loud = noise(made_up.lead("N" * 30, noise=0.01)[0]), noise(made_up.lead("N" * 30, noise=0.1)[0])
    assert np.isnan(quiet[0])
    assert np.isfinite(quiet[1:]).all()
    assert (loud - quiet)[1:].min() > np.log(2)  # not 10 times as much: P and T waves reach into it


def test_beats_that_follow_each_other_closely_and_flat_stretches_say_nothing():
    assert np.isnan(noise(SIGNAL, PEAKS[0] + np.array([0, 0.6, 1.4]))[1])
    assert np.isnan(noise(np.zeros(len(SIGNAL)))).all()


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(SIGNAL)), max_size=6), st.floats(0, 4))
def test_the_pieces_in_which_a_lead_comes_change_nothing(cuts, late):
    lead, found, said = LeadNoise(made_up.HZ), [], 0
    for end in [*sorted(cuts), len(SIGNAL)]:
        lead.feed(SIGNAL[said:end])
        known = PEAKS[(said / made_up.HZ - late < PEAKS + 0.6) & (end / made_up.HZ - late >= PEAKS + 0.6)]
        found.append(lead.before(known))
        said = end
    together = np.concatenate(found)
    assert np.array_equal(together, noise(SIGNAL)[: len(together)], equal_nan=True)
