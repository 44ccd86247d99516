"""A threshold for new people counts people, not beats."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.threshold import conformal, people
from trainer.threshold.conformal import Budget
from trainer.threshold.rule import ThresholdRule


def scores_of(rng, number, beats=100):
    """People whose scores lie at very different heights."""
    scores = rng.gamma(2, 1, (number, beats)) * rng.lognormal(0, 1, (number, 1))
    return scores.astype(np.float32).ravel(), np.repeat([f"{name:03}" for name in range(number)], beats)


def test_the_promise_holds_for_new_people_where_that_by_beats_does_not():
    rng, kept, by_beats = np.random.default_rng(0), 0, 0
    for _ in range(150):
        scores, patients = scores_of(rng, 20, beats=60)
        new = scores_of(rng, 1, beats=60)[0]
        kept += (new > people.threshold(scores, patients, Budget(0.05, 0.9)).value).mean() <= 0.05
        by_beats += (new > np.quantile(scores, 0.95)).mean() <= 0.05
    assert kept >= 124, "90 % of 150 people, less three standard deviations"
    assert by_beats < 124


def test_the_threshold_is_the_value_of_the_second_most_unusual_of_twenty_people():
    scores, patients = np.arange(2000, dtype=np.float32), np.repeat([f"{name:02}" for name in range(20)], 100)
    spec = people.threshold(scores, patients, Budget(0.05, 0.9))
    assert spec.value == 1894  # of 1,800 to 1,899, five lie above
    assert (spec.false_alarm_rate, spec.confidence, spec.note) == (0.05, 0.9, "")
    assert "For a new person from the same population, at most 5.0%" in conformal.sentence(spec)


def test_too_few_people_get_the_confidence_that_they_can_support():
    scores, patients = scores_of(np.random.default_rng(1), 4)
    spec = people.threshold(scores, patients, Budget())
    assert spec.confidence == pytest.approx(0.8)
    assert "4 people are too few for confidence 0.9" in conformal.sentence(spec)


def test_other_rules_look_at_all_beats():
    scores, patients = scores_of(np.random.default_rng(2), 5)
    abnormal = np.arange(len(scores)) % 5 == 0
    spec = people.chosen(ThresholdRule("mean-plus-sd", 2), scores, abnormal, patients)
    assert spec.value == pytest.approx(scores[~abnormal].mean() + 2 * scores[~abnormal].std(), rel=1e-3)
