"""The rules that a threshold can be chosen by, all on training beats: a budget, or what labelled ones make possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError
from monitor.model.manifest import ThresholdSpec
from trainer.fitting import recipe
from trainer.threshold import calibrate
from trainer.threshold.calibrate import Budget
from trainer.threshold.sweep import Row, sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

DEFAULT = Budget()
MAX_SDS = 1000


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """`budget`, `f1`, `precision:P`, `recall:R` or `mean-plus-sd:K`. Raises RefusedError when it is none of them."""

    kind: str = "budget"
    amount: float = 0.0
    budget: Budget = DEFAULT

    @classmethod
    def parse(cls, text: str, budget: Budget) -> ThresholdRule:
        kind, colon, amount = text.partition(":")
        number = recipe.number(amount)
        bare = not colon and kind in ("budget", "f1")
        share = kind in ("precision", "recall") and 0 < number < 1
        spread = kind == "mean-plus-sd" and 0 <= number <= MAX_SDS
        if not (bare or share or spread):
            raise RefusedError(
                f"threshold rule {text!r} is unknown, where budget, f1, precision:P, recall:R (between 0 and 1) "
                f"or mean-plus-sd:K (K from 0 to {MAX_SDS}) are expected"
            )
        if kind != "budget" and budget != DEFAULT:
            raise RefusedError(f"the threshold rule {text} promises no false-alarm rate: name no budget beside it")
        return cls(kind, 0.0 if bare else number, budget)

    @property
    def needs_labels(self) -> bool:
        return self.kind in ("f1", "precision", "recall")

    def limit(self, calibration: Scores, abnormal: Scores) -> ThresholdSpec:
        """The threshold from ascending cross-fitted scores of normal beats and scores of abnormal training beats.

        A rule that needs labels must get some. Raises RefusedError when no threshold satisfies it.
        """
        if self.kind == "budget":
            return calibrate.limit(calibration, self.budget)
        if self.kind == "mean-plus-sd":
            value = float(calibration.mean() + self.amount * calibration.std())
            return _unpromised(value, f"mean + {self.amount:g} sd of cross-fitted normal beats", calibration, 0)
        rows = sweep(np.append(calibration, abnormal), np.arange(len(calibration) + len(abnormal)) >= len(calibration))
        name = self.kind if self.kind == "f1" else f"{self.kind} {self.amount:g}"
        chosen = self._chosen(rows)
        return _unpromised(chosen.threshold, f"{name} on labelled training beats", calibration, len(abnormal))

    def _chosen(self, rows: list[Row]) -> Row:
        if self.kind == "f1":
            return max(rows, key=lambda row: row.f1)
        if self.kind == "precision":
            kept = [row for row in rows if row.precision >= self.amount]
            return _first(kept, f"no threshold reaches a precision of {self.amount:g} on the training beats")
        kept = [row for row in reversed(rows) if row.recall >= self.amount]
        return _first(kept, f"no threshold reaches a recall of {self.amount:g} on the training beats")


def _first(rows: list[Row], otherwise: str) -> Row:
    if not rows:
        raise RefusedError(otherwise)
    return rows[0]


def _unpromised(value: float, name: str, calibration: Scores, abnormals: int) -> ThresholdSpec:
    above = int((calibration > np.float32(value)).sum())
    note = f"the rule promises no false-alarm rate; {above} of {len(calibration)} cross-fitted normal beats lie above"
    return ThresholdSpec(value, name, above / len(calibration), 0.0, len(calibration), above + 1, note, abnormals)
