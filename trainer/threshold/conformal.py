"""The threshold by a false-alarm budget: at most this share of normal beats is flagged, with a stated confidence.

The method is split-conformal calibration: the threshold is the k-th highest of n scores of normal beats. How often it
flags a new normal beat then follows a Beta distribution that does not depend on how the scores are distributed.
Only training beats are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError
from monitor.model.manifest import ThresholdSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SCORES = 20_000  # enough for p-values down to 1 in 20,000, and the manifest stays small
RULE = "false-alarm budget, conformal rank on cross-fitted normal beats"
FOR_PEOPLE = "false-alarm budget for new people"
RULE_FOR_PEOPLE = f"{FOR_PEOPLE}, by the shares of cross-fitted people"

DEFAULT_RATES = (0.02, 0.05)
LEAST_RANK = 10  # a default threshold has at least so many scores at or above it, so no single beat decides it


@dataclass(frozen=True, slots=True)
class Budget:
    """At most this share of normal beats may be flagged. The confidence is the share of calibration sets that keep it.

    A rate of None means the smallest of DEFAULT_RATES for which there are enough calibration beats (see LEAST_RANK),
    or else the largest; `docs/experiments.md` has the reasons. Raises RefusedError if a value is not between 0 and 1.
    """

    false_alarm_rate: float | None = None
    confidence: float = 0.9

    def __post_init__(self) -> None:
        for name, share in (("false-alarm rate", self.false_alarm_rate), ("confidence", self.confidence)):
            if share is not None and not 0 < share < 1:
                raise RefusedError(f"the {name} is {share:g}, but a number between 0 and 1 is expected")

    def rate(self, n: int) -> float:
        """The false-alarm rate that is aimed at when there are n calibration scores."""
        if self.false_alarm_rate is not None:
            return self.false_alarm_rate
        supported = (rate for rate in DEFAULT_RATES if rank(n, rate, self.confidence) >= LEAST_RANK)
        return next(supported, DEFAULT_RATES[-1])

    def require(self, n: int) -> None:
        """Raises RefusedError if n normal beats cannot support a rate that a person asked for."""
        if self.false_alarm_rate is not None and not rank(n, self.false_alarm_rate, self.confidence):
            raise RefusedError(
                f"{n} normal beats cannot support a false-alarm rate of {self.false_alarm_rate:g} with confidence "
                f"{self.confidence:g}; the smallest that they support is "
                f"{_rounded_up(finest_rate(n, self.confidence)):g}"
            )


def calibration(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores (n,) in ascending order. Of more than MAX_SCORES, an evenly spaced selection of the beats."""
    rows = np.linspace(0, len(scores) - 1, min(len(scores), MAX_SCORES)).astype(np.int64)
    return np.sort(scores[rows])


def threshold(calibration: NDArray[np.float32], budget: Budget) -> ThresholdSpec:
    """The threshold from ascending scores of normal beats.

    If they are too few for the budget, the highest score is the threshold, and a note says which rate it keeps.
    """
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
    """The largest k for which the k-th highest of n normal scores keeps the rate with the confidence; 0 if none does.

    The share of new normal beats above the k-th highest score has the distribution Beta(k, n + 1 - k). The probability
    that it is at most `rate` equals the probability that Binomial(n, rate) is at least k.
    """
    below = 0.0  # P(Binomial < k)
    for k in range(n + 1):
        below += math.exp(_log_binomial(n, k, rate))  # now P(Binomial < k + 1)
        if 1 - below < confidence:
            return k
    return n


def finest_rate(n: int, confidence: float) -> float:
    """The smallest rate that the highest of n normal scores keeps with the confidence."""
    return float(-math.expm1(math.log1p(-confidence) / n))


def _rounded_up(rate: float) -> float:
    """The rate with two digits, and no smaller."""
    step = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return math.ceil(rate / step) * step


def _log_binomial(n: int, k: int, rate: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(rate) + (n - k) * math.log1p(-rate)


def sentence(chosen: ThresholdSpec) -> str:
    """The threshold in words: how it was chosen, and what can be expected of it.

    The budget holds exactly for held-out calibration beats. For cross-fitted ones it is an estimate.
    """
    above = f"Threshold {chosen.value:.6g}: beats with a higher score are flagged."
    if not chosen.confidence:
        return f"{above} It was chosen by the rule {chosen.rule}; {chosen.note}."
    is_estimate = chosen.rule in (RULE, RULE_FOR_PEOPLE)
    estimate = " (an estimate, because the scores come from cross-fitting)" if is_estimate else ""
    if chosen.rule.startswith(FOR_PEOPLE):
        promise = (
            f"{above} For a new person from the same population, at most {chosen.false_alarm_rate:.1%} of the normal "
            f"beats are flagged by mistake with probability {chosen.confidence:.2g}{estimate}. For the others "
            "it may be any share."
        )
        return f"{promise}\nNote: {chosen.note}." if chosen.note else promise
    budget = (
        f"{above} At most {chosen.false_alarm_rate:.1%} of normal beats are flagged by mistake, with confidence "
        f"{chosen.confidence:.4g}{estimate}. The threshold is number {chosen.rank} from the top of "
        f"{chosen.normals:,} scores of normal beats."
    )
    return f"{budget}\nNote: {chosen.note}." if chosen.note else budget
