"""The picture of a template in the terminal."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.profiles.drawing import WIDTH, draw_template
from monitor.profiles.points import SECONDS

BEAT = (1.2 * np.exp(-((SECONDS / 0.02) ** 2)) - 0.2).astype(np.float32)
SPREAD = np.full(60, 0.1, np.float32)


def test_the_picture_has_axes_and_is_as_wide_as_a_terminal():
    lines = draw_template(BEAT, SPREAD)
    assert (len(lines), max(map(len, lines))) == (14, WIDTH)
    assert [line[:8].strip() for line in (lines[0], lines[6], lines[11])] == ["1.06", "0.38", "-0.3"]
    assert lines[-1].split() == ["-0.2", "-0.1", "R", "0.1", "0.2", "0.3", "s"]
    assert "".join(lines).isprintable()


def test_the_r_peak_stands_above_its_mark():
    lines = draw_template(BEAT, np.zeros(60, np.float32))
    peak = [at for at, character in enumerate(lines[0][10:], 10) if character != "\u2800"]
    assert all(abs(at - lines[-1].index("R")) <= 1 for at in peak)
    assert peak


@pytest.mark.parametrize("height", [0.0, 1e-7, 1e10])
def test_a_beat_of_any_height_can_be_drawn(height):
    assert len(draw_template(BEAT * np.float32(height), SPREAD * np.float32(height))) == 14
