"""The threshold that holds for new people, as far as the people at hand can say.

Beats of one person resemble each other, so a thousand beats of twenty people are not a thousand independent ones; the
twenty people are independent. Each person has a value: the score above which lies the budget's share of the person's
normal beats. The threshold is the k-th highest of the values of K people. A new person from the same population may
rank anywhere among them with the same probability. So more than the budget's share of that person's normal beats is
flagged with probability k / (K + 1); k is the largest number for which this is at most 1 - confidence. The same
argument is made for beats in `conformal`. Conformal prediction with groups: Dunn, Wasserman and Ramdas (2023),
doi:10.1080/01621459.2022.2060112.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from monitor.model.manifest import ThresholdSpec
from trainer.threshold import conformal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.threshold.conformal import Budget
    from trainer.threshold.rule import ThresholdRule

    Scores = NDArray[np.float32]

LEAST_NORMALS = 30  # of a person, whose own share else means little
DEFAULT_RATE = 0.05


def chosen(
    rule: ThresholdRule, scores: Scores, abnormal: NDArray[np.bool_], patients: NDArray[np.str_] | None
) -> ThresholdSpec:
    """The threshold by a rule, from scores (n,) of beats by networks that did not learn from them or their person.

    Without `patients`, beats count one by one.
    """
    if patients is not None and rule.kind == "budget":
        return threshold(scores[~abnormal], patients[~abnormal], rule.budget)
    return rule.threshold(conformal.calibration(scores[~abnormal]), scores[abnormal])


def threshold(scores: Scores, patients: NDArray[np.str_], budget: Budget) -> ThresholdSpec:
    """The threshold from scores (n,) of normal beats of several people.

    If they are too few for the confidence, the highest value of a person is the threshold, and a note says which
    confidence it has.
    """
    rate = DEFAULT_RATE if budget.false_alarm_rate is None else budget.false_alarm_rate
    values = np.sort([_value(own, rate) for own in _of_each(scores, patients)])
    people = len(values)
    k = math.floor((people + 1) * (1 - budget.confidence) + 1e-9)
    held = budget.confidence if k else people / (people + 1)
    note = (
        ""
        if k
        else f"{people} people are too few for confidence {budget.confidence:g}; {held:.2g} is the best they give"
    )
    value = float(values[-max(k, 1)])
    calibration = conformal.calibration(scores)
    above = max(1, int((calibration >= np.float32(value)).sum()))
    return ThresholdSpec(value, conformal.RULE_FOR_PEOPLE, rate, held, len(calibration), above, note)


def _of_each(scores: Scores, patients: NDArray[np.str_]) -> list[Scores]:
    """The scores of each person; of those with too few beats only if nobody has enough."""
    order = np.argsort(patients, kind="stable")
    starts = np.unique(patients[order], return_index=True)[1][1:]
    each = np.split(scores[order], starts)
    return [own for own in each if len(own) >= LEAST_NORMALS] or each


def _value(own: Scores, rate: float) -> float:
    """The lowest of a person's scores above which lies at most this share of them."""
    return float(np.sort(own)[-(math.floor(rate * len(own)) + 1)])
