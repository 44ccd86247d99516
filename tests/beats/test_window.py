"""Windows say how beats are cut; an impossible one is refused."""

from __future__ import annotations

import pytest

from monitor.beats.window import R_CENTRED, R_TO_R, Window
from monitor.errors import RefusedError


def test_a_window_says_in_words_how_beats_are_cut():
    assert str(R_TO_R) == "from R to R, stretched to 140 samples"
    assert str(R_CENTRED) == "140 samples, from 0.248 s before R to 0.408 s after it"


def test_the_samples_of_a_centred_window_lie_in_equal_steps_around_r():
    seconds = Window("r-centred", 0.2, 0.5).seconds_from_r
    assert (len(seconds), seconds[0], seconds[-1]) == (140, -0.2, 0.5)
    assert seconds[1] - seconds[0] == pytest.approx(0.7 / 139)


@pytest.mark.parametrize(
    "sides", [(0.0, 0.4), (0.2, 0.0), (-1, 1), (0.2, 1.1), (float("nan"), 0.4), (0.2, float("inf"))]
)
def test_a_centred_window_that_is_empty_or_too_long_is_refused(sides):
    with pytest.raises(RefusedError, match="where 0 to 1 are possible"):
        Window("r-centred", *sides)


@pytest.mark.parametrize(("kind", "before"), [("r-to-r", 0.2), ("p-centred", 0.2), ("x" * 99, 0.0)])
def test_an_unknown_kind_and_seconds_for_r_to_r_are_refused(kind, before):
    with pytest.raises(RefusedError, match=r"window"):
        Window(kind, before)
