"""The threshold: a false-alarm budget on normal beats that holds with a stated confidence. Training beats only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError
from monitor.model.manifest import ThresholdSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Scores = NDArray[np.float32]
    Scoring = Callable[[NDArray[np.float32]], Scores]

FOLDS = 10
MIN_NORMALS = 30  # fewer decide no threshold
MAX_SCORES = 20_000  # p-values down to 1 in 20,000; a manifest stays small
RULE = "false-alarm budget, conformal rank on cross-fitted normal beats"

DEFAULT_RATES = (0.02, 0.05)
ROOM = 10  # calibration beats that lie above a default threshold: it hangs on none of them alone


@dataclass(frozen=True, slots=True)
class Budget:
    """At most this share of normal beats may be flagged, with this confidence over calibration sets.

    None is the finest of DEFAULT_RATES that the calibration beats support with ROOM, or else the coarsest:
    `docs/experiments.md` says why. Raises RefusedError for what is no share.
    """

    false_alarm_rate: float | None = None
    confidence: float = 0.9

    def __post_init__(self) -> None:
        for name, share in (("false-alarm rate", self.false_alarm_rate), ("confidence", self.confidence)):
            if share is not None and not 0 < share < 1:
                raise RefusedError(f"the {name} is {share:g}, where a share between 0 and 1 is expected")

    def rate(self, n: int) -> float:
        """The share of normal beats for a threshold that n scores of normal beats decide."""
        if self.false_alarm_rate is not None:
            return self.false_alarm_rate
        roomy = (rate for rate in DEFAULT_RATES if rank(n, rate, self.confidence) >= ROOM)
        return next(roomy, DEFAULT_RATES[-1])


def cross_fit(samples: NDArray[np.float32], fit: Callable[[NDArray[np.float32]], Scoring], seed: int) -> Scores:
    """The score (n,) of each normal beat by a detector that was fitted without it.

    `fit` takes beats (k, 140) and returns what scores others. In-sample scores are too small to set a threshold by.
    """
    parts = others(len(samples), seed)
    return held_out(samples, parts, [fit(samples[rows]) for rows in parts])


def others(n: int, seed: int) -> list[NDArray[np.int64]]:
    """The rows of n beats to learn from in each fold; each row is left out of one."""
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    return [np.flatnonzero(fold != number) for number in range(FOLDS)]


def held_out(samples: NDArray[np.float32], parts: list[NDArray[np.int64]], fitted: list[Scoring]) -> Scores:
    """The score (n,) of each beat by the one detector whose part it is not in."""
    scores = np.empty(len(samples), np.float32)
    for rows, score in zip(parts, fitted, strict=True):
        left_out = np.setdiff1d(np.arange(len(samples)), rows)
        scores[left_out] = score(samples[left_out])
    return scores


def calibration(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores in ascending order; of very many, an even sample of the beats."""
    rows = np.linspace(0, len(scores) - 1, min(len(scores), MAX_SCORES)).astype(np.int64)
    return np.sort(scores[rows])


def limit(calibration: NDArray[np.float32], budget: Budget) -> ThresholdSpec:
    """The threshold from ascending scores of normal beats; when they are too few, the best that holds, and a note."""
    n = len(calibration)
    rate = budget.rate(n)
    wanted = rank(n, rate, budget.confidence)
    held = rate if wanted else finest_rate(n, budget.confidence)
    note = (
        ""
        if wanted
        else (
            f"{n} normal beats cannot support {rate:.1%} with confidence {budget.confidence:g}; "
            f"the best that holds is {held:.1%}"
        )
    )
    k = max(wanted, 1)
    return ThresholdSpec(float(calibration[-k]), RULE, held, budget.confidence, n, k, note)


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


def sentence(limit: ThresholdSpec) -> str:
    """The threshold and what was promised of it: exactly by held-out beats, by cross-fitted ones as an estimate."""
    if not limit.confidence:
        return f"threshold {limit.value:.6g}: {limit.rule}; {limit.note}"
    sure = f"confidence {limit.confidence:g}{', an estimate' if limit.rule == RULE else ''}"
    promised = (
        f"threshold {limit.value:.6g}: a budget of {limit.false_alarm_rate:.1%} false alarms on normal beats with "
        f"{sure} (score {limit.rank} from the top of {limit.normals:,}: {limit.rule})"
    )
    return f"{promised}\n{limit.note}" if limit.note else promised
