"""Scores become p-values and verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.threshold import Threshold
from tests.unit import models

SCORES = st.floats(0, 1e6, width=32)


def threshold(value=1.0, calibration=(0.1, 0.2, 0.2, 0.4)):
    return Threshold(value, None, np.array(calibration, np.float64))


def test_the_p_value_is_the_share_of_normal_beats_at_least_as_unusual():
    verdicts = threshold().judge(np.array([0.05, 0.2, 0.3, 9], np.float32))
    # 0.2 as float32 lies a little above the double 0.2
    assert verdicts.p_value == pytest.approx([1, 2 / 5, 2 / 5, 1 / 5])


def test_a_score_that_equals_normal_ones_counts_them_all():
    assert threshold(calibration=(0.25, 0.5, 0.5, 1)).judge(np.array([0.5], np.float32)).p_value == [4 / 5]


def test_only_a_score_above_the_threshold_is_abnormal():
    assert threshold(0.5).judge(np.array([0.25, 0.5, 0.75], np.float32)).abnormal.tolist() == [False, False, True]


def test_a_beat_without_a_score_is_neither_normal_nor_abnormal():
    verdicts = threshold().judge(np.array([np.nan, 5], np.float32))
    assert verdicts.abnormal.tolist() == [False, True]
    assert np.isnan(verdicts.p_value).tolist() == [True, False]


def test_no_beats_get_no_verdicts():
    verdicts = threshold().judge(np.empty(0, np.float32))
    assert verdicts.abnormal.shape == verdicts.p_value.shape == (0,)


def test_the_model_gives_the_threshold_unless_the_setting_overrides_it():
    manifest = models.model().manifest
    assert Threshold.from_manifest(manifest).value == manifest.threshold.value
    assert Threshold.from_manifest(manifest, 0.125).value == 0.125
    assert Threshold.from_manifest(manifest, 0.125).version is None
    assert Threshold.from_manifest(manifest).calibration.tolist() == list(manifest.calibration)


@given(
    arrays.arrays(np.float64, st.integers(1, 50), elements=SCORES),
    arrays.arrays(np.float32, st.integers(0, 20), elements=SCORES),
)
def test_p_values_follow_their_definition(calibration, scores):
    found = threshold(calibration=np.sort(calibration)).judge(scores).p_value
    expected = [(1 + (calibration >= score).sum()) / (1 + len(calibration)) for score in scores]
    assert found.tolist() == expected
