"""Messages that go out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import alert
from monitor.alarms.alarm_event import AlarmEvent
from monitor.alarms.alert import AlertOrigin, Waveform
from monitor.alarms.judged import JudgedBeats
from monitor.alarms.rule import EpisodeState, Event
from monitor.alarms.threshold import ActiveThreshold
from monitor.beats import parse
from tests.fakes import records

ORIGIN = AlertOrigin("ecg.beats", "model-1", "ecg.alerts")


def judged(score):
    beats, _ = parse.parse(records([np.arange(140, dtype="<f4").tobytes()] * len(score)))
    scores = np.array(score, np.float32)
    return JudgedBeats(
        beats,
        scores,
        np.full(len(score), 0.5),
        np.full(len(score), 1.0),
        scores > 1,
        ("",),
        np.zeros(len(score), np.int8),
        np.full(len(score), np.nan, np.float32),
        np.zeros(len(score), np.bool_),
    )


def test_each_score_record_has_its_threshold():
    found = replace(judged([0.5, 2.0]), threshold=np.array([1.0, 2.5]))
    values = [orjson.loads(message.value) for message in alert.scores(found, "ecg.scores")]
    assert [(value["score"], value["threshold"]) for value in values] == [(0.5, 1.0), (2.0, 2.5)]


@given(st.lists(st.floats(width=32) | st.floats(-5, 5, width=32), min_size=1, max_size=140))
def test_samples_are_written_with_four_digits(samples):
    beats = judged([2.0])
    opened = AlarmEvent.of(Event("opened", "physiological", b"bed 7", 0, EpisodeState(opened_offset=0)), beats.beats)
    shape = Waveform(*alert.rounded(np.array([samples, samples], np.float32)))
    value = orjson.loads(alert.alert(opened, beats, shape, ORIGIN, ActiveThreshold(1.0, None)).value)
    expected = [float(f"{sample:.4g}") if np.isfinite(sample) else None for sample in samples]
    assert value["samples"] == value["reconstruction"] == expected
