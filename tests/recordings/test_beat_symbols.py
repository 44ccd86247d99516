"""`BeatSymbols`: which annotation is a beat's."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.recordings import Annotations
from monitor.recordings.beat_symbols import BeatSymbols

ANNOTATIONS = Annotations(np.array([0.9, 1.0, 2.0, 2.2, 3.0]), ("+", "N", "V", "A", "|"), ("(AFIB", "", "", "", ""))


@pytest.mark.parametrize(
    ("seconds", "symbol"),
    [(1.0, "N"), (0.9, "N"), (1.15, "N"), (1.2, ""), (2.09, "V"), (2.11, "A"), (3.0, ""), (-5.0, ""), (99.0, "")],
)
def test_a_beat_has_the_symbol_of_the_annotated_beat_nearest_to_it(seconds, symbol):
    assert BeatSymbols(ANNOTATIONS).near(seconds) == symbol


def test_a_recording_without_annotated_beats_has_no_symbols():
    assert BeatSymbols(Annotations(np.empty(0), (), ())).near(1.0) == ""
