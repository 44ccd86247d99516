"""Messages that go out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson

from monitor import alert, beat
from monitor.alert import Judged
from tests.fakes import records


def judged(score):
    beats, _ = beat.parse(records([np.arange(140, dtype="<f4").tobytes()] * len(score)))
    scores = np.array(score, np.float32)
    return Judged(
        beats,
        scores,
        np.full(len(score), 0.5),
        np.full(len(score), 1.0),
        scores > 1,
        ("",),
        np.zeros(len(score), np.int8),
    )


def test_each_score_says_what_it_was_held_against():
    found = replace(judged([0.5, 2.0]), threshold=np.array([1.0, 2.5]))
    values = [orjson.loads(message.value) for message in alert.scores(found, "ecg.scores")]
    assert [(value["score"], value["threshold"]) for value in values] == [(0.5, 1.0), (2.0, 2.5)]
