"""The rules by which a threshold can be chosen. All of them use training beats only.

The rule `budget` needs normal beats alone. The rules f1, precision and recall also need labelled abnormal beats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError
from monitor.model.manifest import ThresholdSpec
from trainer import options
from trainer.threshold import conformal
from trainer.threshold.conformal import Budget
from trainer.threshold.sweep import Row, sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

DEFAULT = Budget()
MAX_SDS = 1000


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """A threshold rule: its kind, and the number that some kinds take.

    `budget`: a false-alarm budget. `f1`: the highest F1. `precision`: the lowest threshold with this precision or more.
    `recall`: the highest threshold with this recall or more. `mean-plus-sd`: the mean of the normal scores plus so
    many standard deviations.
    """

    kind: str = "budget"
    amount: float = 0.0
    budget: Budget = DEFAULT

    @classmethod
    def parse(cls, text: str, budget: Budget) -> ThresholdRule:
        """The rule that a person wrote: budget, f1, precision:P, recall:R or mean-plus-sd:K.

        Raises RefusedError if it is none of these, or if a budget is given beside a rule that has none.
        """
        kind, colon, amount = text.partition(":")
        number = options.number(amount)
        bare = not colon and kind in ("budget", "f1")
        share = kind in ("precision", "recall") and 0 < number < 1
        spread = kind == "mean-plus-sd" and 0 <= number <= MAX_SDS
        if not (bare or share or spread):
            raise RefusedError(
                f"threshold rule {text!r} is unknown: write budget, f1, precision:P, recall:R (P, R between 0 and 1) "
                f"or mean-plus-sd:K (K from 0 to {MAX_SDS})"
            )
        if kind != "budget" and budget != DEFAULT:
            raise RefusedError(
                f"the threshold rule {text} promises no false-alarm rate: leave out --false-alarm-rate and --confidence"
            )
        return cls(kind, 0.0 if bare else number, budget)

    @property
    def needs_labels(self) -> bool:
        """Whether the rule needs scores of labelled abnormal beats."""
        return self.kind in ("f1", "precision", "recall")

    def threshold(self, calibration: Scores, abnormal: Scores) -> ThresholdSpec:
        """The threshold from ascending cross-fitted scores (n,) of normal beats and scores (m,) of abnormal ones.

        If the rule needs labels, m must not be 0. Raises RefusedError if no threshold satisfies the rule.
        """
        if self.kind == "budget":
            return conformal.threshold(calibration, self.budget)
        if self.kind == "mean-plus-sd":
            value = float(calibration.mean() + self.amount * calibration.std())
            return _without_promise(value, f"mean + {self.amount:g} sd of cross-fitted normal beats", calibration, 0)
        rows = sweep(np.append(calibration, abnormal), np.arange(len(calibration) + len(abnormal)) >= len(calibration))
        name = self.kind if self.kind == "f1" else f"{self.kind} {self.amount:g}"
        chosen = self._chosen(rows)
        return _without_promise(chosen.threshold, f"{name} on labelled training beats", calibration, len(abnormal))

    def _chosen(self, rows: list[Row]) -> Row:
        """The row that the rule chooses; `rows` have ascending thresholds. Raises RefusedError if none satisfies it."""
        if self.kind == "f1":
            return max(rows, key=lambda row: row.f1)
        if self.kind == "precision":
            kept = [row for row in rows if row.precision >= self.amount]
            return _first(kept, f"no threshold reaches a precision of {self.amount:g} on the training beats")
        kept = [row for row in reversed(rows) if row.recall >= self.amount]
        return _first(kept, f"no threshold reaches a recall of {self.amount:g} on the training beats")


def _first(rows: list[Row], refusal: str) -> Row:
    if not rows:
        raise RefusedError(refusal)
    return rows[0]


def _without_promise(value: float, name: str, calibration: Scores, abnormals: int) -> ThresholdSpec:
    """A threshold whose rule keeps no false-alarm rate: its rate is the share of normal scores above it."""
    above = int((calibration > np.float32(value)).sum())
    note = f"the rule promises no false-alarm rate; {above} of {len(calibration)} cross-fitted normal beats lie above"
    return ThresholdSpec(value, name, above / len(calibration), 0.0, len(calibration), above + 1, note, abnormals)
