"""A model that does not know a lead is named; a few abnormal beats are no reason."""

from __future__ import annotations

import pytest

from monitor.beats.window import R_CENTRED
from monitor.model.fit import misfit


@pytest.mark.parametrize(("flagged", "beats"), [(0, 0), (19, 19), (10, 20), (500, 1000)])
def test_a_model_that_flags_half_of_the_beats_or_has_seen_few_is_not_said_to_misfit(flagged, beats):
    assert misfit(flagged, beats, R_CENTRED) is None


def test_the_sentence_says_how_many_beats_and_which_window_the_model_wants():
    sentence = misfit(1200, 1210, R_CENTRED)
    assert "1,200 of 1,210 beats" in sentence
    assert "140 samples, from 0.248 s before R to 0.408 s after it" in sentence
