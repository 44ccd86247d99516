"""Beats get the class of the annotation beside them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.recordings import Annotations
from trainer.data import datasets, labels


def annotations(seconds, symbols):
    return Annotations(np.array(seconds, np.float64), tuple(symbols), ("",) * len(symbols))


def test_each_class_of_aami_has_its_codes():
    names = [datasets.KINDS[labels.CLASS_OF[code]] for code in "NLRBejnAaJSVErF/fQ?"]
    assert names == (
        ["normal"] * 7 + ["supraventricular"] * 4 + ["ventricular"] * 3 + ["fusion"] + ["paced or unknown"] * 4
    )


def test_rhythm_changes_and_noise_marks_label_no_beat():
    found = labels.matched(np.array([1.0, 2.0]), annotations([1.0, 2.0, 2.01], "+~V"))
    assert found.classes.tolist() == [0, 7]


def test_an_annotation_labels_the_nearest_beat_only():
    found = labels.matched(np.array([0.9, 1.05, 3.0]), annotations([1.0, 2.0], "VN"))
    assert (found.classes.tolist(), found.not_found) == ([0, 7, 0], 1)


times = st.lists(st.integers(0, 3000), max_size=40, unique=True).map(lambda ms: np.array(sorted(ms)) / 1000)


@given(times, times)
def test_no_annotation_is_used_twice_and_none_from_afar(beats, known):
    found = labels.matched(beats, annotations(known, "V" * len(known)))
    labelled = found.classes > 0
    assert labelled.sum() + found.not_found == len(known)
    for beat in beats[labelled]:
        assert np.abs(known - beat).min() <= 0.15 + 1e-9
