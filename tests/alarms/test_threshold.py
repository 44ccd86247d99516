"""Scores become p-values and verdicts, against thresholds that the control topic changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.alarms import threshold
from monitor.alarms.control_message import ThresholdCommand
from monitor.alarms.threshold import ActiveThreshold, Thresholds, threshold_of
from monitor.errors import RefusedError
from monitor.records.record import ControlRecord
from tests import models

SCORES = st.floats(0, 1e6, width=32)
FEW_SCORES = st.integers(0, 8).map(lambda eighths: eighths / 8)  # so that ties are common
CALIBRATIONS = st.lists(FEW_SCORES | st.floats(0, 10), min_size=1, max_size=60).map(sorted).map(np.array)


def thresholds(value=1.0, calibration=(0.1, 0.2, 0.2, 0.4)):
    return Thresholds(ActiveThreshold(value, None), np.array(calibration, np.float64))


def judge(made, scores, sources=None):
    column = np.empty(len(scores), np.object_)
    column[:] = [b"bed"] * len(scores) if sources is None else sources
    return made.judge(column, np.array(scores, np.float32))


def record(key, offset, **fields):
    return ControlRecord(key, json.dumps(fields).encode(), offset)


def null(key, offset):
    return ControlRecord(key, None, offset)


def follow(made, *changes):
    """Follow them all; none may be found wrong."""
    assert [made.apply(change) for change in changes] == [""] * len(changes)
    return made


def test_the_p_value_is_the_share_of_normal_beats_at_least_as_unusual():
    # 0.2 as float32 lies a little above the double 0.2
    assert judge(thresholds(), [0.05, 0.2, 0.3, 9]).p_value == pytest.approx([1, 2 / 5, 2 / 5, 1 / 5])


def test_a_score_that_equals_normal_ones_counts_them_all():
    assert judge(thresholds(calibration=(0.25, 0.5, 0.5, 1)), [0.5]).p_value == [4 / 5]


def test_only_a_score_above_the_threshold_is_abnormal():
    assert judge(thresholds(0.5), [0.25, 0.5, 0.75]).abnormal.tolist() == [False, False, True]


@pytest.mark.parametrize("own", [False, True])
def test_a_beat_without_a_score_is_neither_normal_nor_abnormal(own):
    made = follow(thresholds(), record(b"threshold/bed", 0, threshold=2)) if own else thresholds()
    verdicts = judge(made, [np.nan, 5])
    assert verdicts.abnormal.tolist() == [False, True]
    assert np.isnan(verdicts.p_value).tolist() == [True, False]


def test_an_empty_batch_has_no_verdicts():
    verdicts = judge(thresholds(), [])
    assert verdicts.abnormal.shape == verdicts.p_value.shape == verdicts.threshold.shape == (0,)


def test_the_model_gives_the_threshold_unless_the_setting_overrides_it():
    manifest = models.model().manifest
    assert Thresholds.from_manifest(manifest).value == manifest.threshold.value
    assert Thresholds.from_manifest(manifest, 0.125).for_source(b"bed") == ActiveThreshold(0.125, None)


@given(
    arrays.arrays(np.float64, st.integers(1, 50), elements=SCORES),
    arrays.arrays(np.float32, st.integers(0, 20), elements=SCORES),
)
def test_p_values_follow_their_definition(calibration, scores):
    found = judge(thresholds(calibration=np.sort(calibration)), scores).p_value
    assert found.tolist() == [(1 + (calibration >= score).sum()) / (1 + len(calibration)) for score in scores]


def test_a_source_s_own_threshold_comes_before_the_one_for_all_and_that_before_the_rest():
    made = follow(
        thresholds(1.0), record(b"threshold/*", 3, threshold=0.5), record(b"threshold/bed 7", 4, threshold=2.5)
    )
    assert (made.value, made.version) == (0.5, 3)
    assert (made.for_source(b"bed 7"), made.for_source(b"bed 8")) == (ActiveThreshold(2.5, 4), ActiveThreshold(0.5, 3))
    verdicts = judge(made, [2, 2, 3], [b"bed 7", b"bed 8", b"bed 7"])
    assert verdicts.abnormal.tolist() == [False, True, True]
    assert verdicts.threshold.tolist() == [2.5, 0.5, 2.5]


def test_a_cleared_threshold_is_replaced_by_the_next_in_order():
    made = follow(thresholds(), record(b"threshold/*", 0, threshold=0.5), record(b"threshold/bed", 1, threshold=2))
    assert follow(made, null(b"threshold/bed", 2)).for_source(b"bed") == ActiveThreshold(0.5, 0)
    assert follow(made, null(b"threshold/*", 3)).for_source(b"bed") == ActiveThreshold(1.0, None)
    assert judge(made, [1.5]).threshold.tolist() == [1.0]


def test_a_source_named_like_the_key_for_all_is_held_against_the_threshold_for_all():
    assert follow(thresholds(), record(b"threshold/*", 0, threshold=2)).for_source(b"*") == ActiveThreshold(2.0, 0)


def test_an_older_record_that_is_read_again_changes_nothing():
    old, new = record(b"threshold/bed", 5, threshold=2), record(b"threshold/bed", 6, threshold=3)
    made = follow(thresholds(), new, old, new)
    assert made.for_source(b"bed") == ActiveThreshold(3.0, 6)
    follow(made, null(b"threshold/bed", 7), old, new)
    assert made.for_source(b"bed") == ActiveThreshold(1.0, None)


def test_an_invalid_record_leaves_the_threshold_unchanged():
    made = follow(thresholds(), record(b"threshold/bed", 0, threshold=2))
    sentence = made.apply(ControlRecord(b"threshold/bed", b"\x1b[2J", 1))
    assert sentence.startswith("control record at offset 1: not JSON")
    assert made.for_source(b"bed") == ActiveThreshold(2.0, 0)


def test_a_rate_becomes_a_threshold_by_the_model_s_own_normal_beats():
    made = follow(thresholds(calibration=np.arange(1, 100)), record(b"threshold/*", 8, false_alarm_rate=0.05))
    assert (made.value, made.version) == (95.0, 8)
    verdicts = judge(made, [95, 96])
    assert verdicts.abnormal.tolist() == [False, True]
    assert verdicts.p_value.tolist() == [0.06, 0.05]


def test_a_rate_finer_than_the_normal_beats_support_is_ignored_and_reported():
    made = follow(thresholds(calibration=np.arange(99)), record(b"threshold/*", 0, false_alarm_rate=0.01))
    assert "finer than the model's 99 normal beats can support: 1/100" in made.apply(
        record(b"threshold/*", 1, false_alarm_rate=0.0099)
    )
    assert (made.value, made.version) == (98.0, 0)


@given(CALIBRATIONS, st.floats(0, 1, exclude_min=True, exclude_max=True), st.lists(FEW_SCORES | SCORES, max_size=20))
def test_a_score_lies_above_the_threshold_of_a_rate_exactly_when_its_p_value_is_at_most_the_rate(
    calibration, rate, scores
):
    made = thresholds(calibration=calibration)
    if made.apply(record(b"threshold/*", 0, false_alarm_rate=rate)):
        assert rate < 1 / (len(calibration) + 1)
        return
    verdicts = judge(made, [*scores, *calibration])  # the scores that equal calibration scores included
    assert verdicts.abnormal.tolist() == (verdicts.p_value <= rate).tolist()


@given(CALIBRATIONS, st.integers(1, 60))
def test_every_rate_that_is_a_p_value_is_reached(calibration, count):
    n = len(calibration)
    rate = min(count, n) / (n + 1)
    assert threshold_of(ThresholdCommand("false_alarm_rate", rate), calibration) == calibration[n - min(count, n)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"threshold/*", b"threshold/bed", b"threshold/", b"acknowledge/x", None]) | st.binary(),
            st.none() | st.binary() | st.sampled_from([b'{"threshold": 2}', b'{"false_alarm_rate": 1e-9}']),
        )
    )
)
def test_every_control_record_is_applied_or_reported_in_one_printable_line(found):
    made = thresholds()
    for offset, (key, value) in enumerate(found):
        before = made.for_source(b"bed")
        sentence = made.apply(ControlRecord(key, value, offset))
        assert sentence.isprintable()
        assert not sentence or (f"offset {offset}" in sentence and made.for_source(b"bed") == before)
    assert made.value in (1.0, 2.0)


@given(st.dictionaries(st.sampled_from([b"a", b"b", b"c", b"d"]), st.floats(0.5, 2)), st.lists(SCORES))
def test_a_column_of_sources_is_judged_as_each_of_them_would_be(own, scores):
    made = follow(thresholds(), *(record(b"threshold/" + name, at, threshold=own[name]) for at, name in enumerate(own)))
    sources = [b"abcde"[row % 5 : row % 5 + 1] for row in range(len(scores))]
    expected = [score > made.for_source(source).value for source, score in zip(sources, scores, strict=True)]
    assert judge(made, scores, sources).abnormal.tolist() == expected


def test_the_number_of_kept_sources_is_limited(monkeypatch):
    monkeypatch.setattr(threshold, "MAX_SOURCES", 2)
    made = follow(thresholds(), *(record(b"threshold/%d" % at, at, threshold=2) for at in range(2)))
    assert "no more can be kept" in made.apply(record(b"threshold/2", 2, threshold=2))
    follow(made, record(b"threshold/*", 3, threshold=3), record(b"threshold/1", 4, threshold=4))
    follow(made, null(b"threshold/1", 5), record(b"threshold/2", 6, threshold=2))
    assert (made.for_source(b"1"), made.for_source(b"2")) == (ActiveThreshold(3.0, 3), ActiveThreshold(2.0, 6))


def test_a_rate_that_no_normal_beat_can_show_is_refused_where_it_is_asked_for():
    with pytest.raises(RefusedError, match=r"1/5 is the finest"):
        threshold_of(ThresholdCommand("false_alarm_rate", 0.1), np.array([0.1, 0.2, 0.2, 0.4]))
