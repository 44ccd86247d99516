"""Whether the model knows a lead: by the first twelve beats, and later ones where it did not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.recent.model_fit import FITS, MISFIT, UNDECIDED, FitCarry, fit
from tests.alarms.recent.pieces import SOURCES, assert_batches_do_not_matter, cut_sources


def verdicts(text):
    """Of one source whose beats are `A`, above the threshold, or `.`."""
    above = np.array([one == "A" for one in text])
    return fit(FitCarry.blank(1), np.zeros(len(above), np.int64), above)[0].tolist()


@pytest.mark.parametrize(
    ("first", "verdict"), [("A" * 12, MISFIT), ("A" * 7 + "." * 5, MISFIT), ("A." * 6, FITS), ("." * 12, FITS)]
)
def test_more_than_half_of_the_first_twelve_beats_above_the_threshold_is_a_lead_the_model_does_not_know(first, verdict):
    assert verdicts(first) == [UNDECIDED] * 11 + [verdict]


def test_a_lead_that_does_not_fit_is_looked_at_again_after_twelve_beats():
    assert verdicts("A" * 24 + "." * 12)[23:] == [MISFIT] * 12 + [FITS]


def test_a_lead_that_fits_stays_one_however_many_beats_are_abnormal_later():
    assert verdicts("." * 12 + "A" * 40)[11:] == [FITS] * 41


def test_sources_do_not_mix():
    source, above = np.arange(24) % 2, np.arange(24) % 2 == 0
    verdict, after = fit(FitCarry.blank(3), source, above)
    assert verdict[-2:].tolist() == [MISFIT, FITS]
    assert after.verdict.tolist() == [MISFIT, FITS, UNDECIDED]


@settings(max_examples=60)
@given(cut_sources(), st.integers(0, 2**16))
def test_batches_do_not_matter(cut, seed):
    source, ends = cut
    above = np.random.default_rng(seed).random(len(source)) < 0.5
    assert_batches_do_not_matter(fit, FitCarry.blank(SOURCES), (source, above), ends)
