"""The threshold: a false-alarm budget on normal beats that holds with a stated confidence. Training beats only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.model import Limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Scores = NDArray[np.float32]
    Scoring = Callable[[NDArray[np.float32]], Scores]

FOLDS = 10
MAX_SCORES = 20_000  # p-values down to 1 in 20,000; a manifest stays small
RULE = "false-alarm budget, conformal rank on cross-fitted normal beats"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most this share of normal beats may be flagged, with this confidence over calibration sets.

    5 % is the finest that the 292 normals of ECG5000 support with room (their tenth largest score); 1 % would hang on
    the single largest one. The 3-of-5 rule turns 5 % of beats into some three episodes an hour, when errors are
    independent (`docs/experiments.md`).
    """

    false_alarm_rate: float = 0.05
    confidence: float = 0.9


def cross_fit(samples: NDArray[np.float32], fit: Callable[[NDArray[np.float32]], Scoring], seed: int) -> Scores:
    """The score (n,) of each normal beat by a detector that was fitted without it.

    `fit` takes beats (k, 140) and returns what scores others. In-sample scores are too small to set a threshold by.
    """
    return cross_fit_together(samples, lambda parts: [fit(samples[rows]) for rows in parts], seed)


def cross_fit_together(
    samples: NDArray[np.float32], fit: Callable[[list[NDArray[np.int64]]], list[Scoring]], seed: int
) -> Scores:
    """The same, where `fit` takes the rows to learn from of every fold at once."""
    fold = np.random.default_rng(seed).permutation(len(samples)) % FOLDS
    scores = np.empty(len(samples), np.float32)
    for number, score in enumerate(fit([np.flatnonzero(fold != number) for number in range(FOLDS)])):
        scores[fold == number] = score(samples[fold == number])
    return scores


def calibration(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores in ascending order; of very many, an even sample of the beats."""
    rows = np.linspace(0, len(scores) - 1, min(len(scores), MAX_SCORES)).astype(np.int64)
    return np.sort(scores[rows])


def limit(calibration: NDArray[np.float32], budget: Budget) -> Limit:
    """The threshold from ascending scores of normal beats; when they are too few, the best that holds, and a note."""
    n = len(calibration)
    wanted = rank(n, budget.false_alarm_rate, budget.confidence)
    held = budget.false_alarm_rate if wanted else finest_rate(n, budget.confidence)
    note = (
        ""
        if wanted
        else (
            f"{n} normal beats cannot support {budget.false_alarm_rate:.1%} with confidence {budget.confidence:g}; "
            f"the best that holds is {held:.1%}"
        )
    )
    k = max(wanted, 1)
    return Limit(float(calibration[-k]), RULE, held, budget.confidence, n, k, note)


def rank(n: int, rate: float, confidence: float) -> int:
    """The largest k for which the k-th largest of n normal scores keeps the rate with the confidence; 0 if none does.

    Beats above it have probability Beta(k, n + 1 - k), which is at most `rate` exactly when Binomial(n, rate) >= k.
    """
    below = 0.0  # P(Binomial < k)
    for k in range(n + 1):
        below += math.exp(_log_binomial(n, k, rate))  # now P(Binomial < k + 1)
        if 1 - below < confidence:
            return k
    return n


def finest_rate(n: int, confidence: float) -> float:
    """The smallest rate that the largest of n normal scores keeps with the confidence."""
    return float(-math.expm1(math.log1p(-confidence) / n))


def _log_binomial(n: int, k: int, rate: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(rate) + (n - k) * math.log1p(-rate)


def sentence(limit: Limit) -> str:
    """The threshold and what was promised of it."""
    if not limit.confidence:
        return f"threshold {limit.value:.6g}: {limit.rule}; {limit.note}"
    promised = (
        f"threshold {limit.value:.6g}: a budget of {limit.false_alarm_rate:.1%} false alarms on normal beats with "
        f"confidence {limit.confidence:g} (score {limit.rank} from the top of {limit.normals:,}: {limit.rule})"
    )
    return f"{promised}\n{limit.note}" if limit.note else promised
