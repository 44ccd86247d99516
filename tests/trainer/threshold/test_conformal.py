"""The threshold keeps its guarantee on normal beats, and reports if it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import RefusedError
from trainer.evaluation import contenders
from trainer.threshold import conformal
from trainer.threshold.conformal import Budget


@pytest.mark.parametrize(
    ("n", "rate", "k"),
    [(58, 0.05, 1), (117, 0.05, 3), (292, 0.05, 10), (292, 0.01, 1), (117, 0.01, 0), (584, 0.01, 3), (2335, 0.05, 103)],
)
def test_the_rank_is_the_one_of_the_beta_distribution(n, rate, k):
    assert conformal.rank(n, rate, 0.9) == k


@given(st.integers(1, 400), st.floats(0.005, 0.3), st.floats(0.5, 0.99))
def test_the_rank_is_the_largest_that_holds(n, rate, confidence):
    flagged = np.random.default_rng(0).binomial(n, rate, 4000)
    k = conformal.rank(n, rate, confidence)
    assert k == 0 or (flagged >= k).mean() >= confidence - 0.05
    assert (flagged >= k + 1).mean() < confidence + 0.05


def test_the_budget_holds_in_as_many_calibration_sets_as_promised():
    random = np.random.default_rng(3)
    thresholds = [conformal.threshold(np.sort(random.random(292)), Budget(0.05, 0.9)).value for _ in range(1000)]
    kept = np.mean([1 - value <= 0.05 for value in thresholds])  # of uniform scores this share lies above
    assert 0.88 <= kept <= 0.94


def test_the_threshold_is_a_score_of_a_normal_beat():
    scores = np.arange(292, dtype=np.float32)
    spec = conformal.threshold(scores, Budget())
    assert (spec.value, spec.rank, spec.normals, spec.note) == (282, 10, 292, "")
    assert (spec.false_alarm_rate, spec.confidence) == (0.05, 0.9)


def test_too_few_beats_for_the_budget_give_the_best_that_holds_and_say_so():
    spec = conformal.threshold(np.arange(30, dtype=np.float32), Budget(0.05, 0.9))
    assert (spec.value, spec.rank) == (29, 1)
    assert spec.false_alarm_rate == pytest.approx(0.0739, abs=1e-4)
    assert "30 normal beats cannot support 5.0% with confidence 0.9; the best that holds is 7.4%" in spec.note


@pytest.mark.parametrize(("n", "rate"), [(30, 0.05), (292, 0.05), (707, 0.05), (708, 0.02), (2339, 0.02)])
def test_the_default_budget_is_the_finest_that_the_beats_support_with_enough_scores_above(n, rate):
    spec = conformal.threshold(np.arange(1, n + 1, dtype=np.float32), Budget())
    assert spec.false_alarm_rate == (rate if n > 30 else pytest.approx(0.0739, abs=1e-4))
    assert spec.rank >= 10 or n == 30


@given(st.integers(1, 5000), st.floats(0.001, 0.5), st.floats(0.5, 0.99))
def test_a_budget_by_hand_is_never_changed(n, rate, confidence):
    assert Budget(rate, confidence).rate(n) == rate
    assert Budget(None, confidence).rate(n) in conformal.DEFAULT_RATES


@pytest.mark.parametrize("shares", [(float("nan"), 0.9), (0.0, 0.9), (0.05, float("nan")), (None, 1.0)])
def test_a_budget_that_is_not_a_share_is_refused(shares):
    with pytest.raises(RefusedError, match="but a number between 0 and 1 is expected"):
        Budget(*shares)


def test_the_promise_of_cross_fitted_scores_is_called_an_estimate():
    spec = conformal.threshold(np.arange(292, dtype=np.float32), Budget())
    assert "with confidence 0.9 (an estimate, because" in conformal.sentence(spec)
    assert "estimate" not in conformal.sentence(replace(spec, rule="by held-out beats"))


def test_very_many_scores_are_thinned_evenly():
    thinned = conformal.calibration(np.arange(100_000, dtype=np.float32)[::-1])
    assert (len(thinned), thinned[0], thinned[-1]) == (20_000, 0, 99_999)
    assert np.diff(thinned).max() <= 6


def test_the_guarantee_holds_in_the_stated_share_of_random_splits(ecg5000):
    """Held-out calibration on real beats; an exactly valid rule has 183 or more with 95 % chance at least."""
    normals = np.concatenate([ecg5000.train.normal_samples, ecg5000.test.normal_samples])
    scores = contenders.pca(normals[:292])(normals[292:])
    random = np.random.default_rng(0)
    kept = 0
    for _ in range(200):
        shuffled = random.permutation(scores)
        spec = conformal.threshold(np.sort(shuffled[:600]), Budget(0.05, 0.95))
        kept += (shuffled[600:] > np.float32(spec.value)).mean() <= spec.false_alarm_rate
    assert kept >= 183
