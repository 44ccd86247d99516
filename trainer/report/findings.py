"""The content of a report as arrays. All of its numbers and pictures are made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.data import datasets
from trainer.fitting import scoring
from trainer.threshold import conformal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.model.manifest import Model
    from trainer.data.datasets import Dataset, DatasetPart
    from trainer.evaluation.by_patient import HeldOutVerdicts

SPLITS = 500  # random halves by which the calibration is checked
RATES = tuple(round(float(rate), 3) for rate in np.linspace(0.01, 0.2, 39))
SWEEP_POINTS = 400


@dataclass(frozen=True, slots=True)
class ScoredSplit:
    """Beats with the scores that the monitor gives them. `labelled`: both normal and abnormal beats are known."""

    name: str
    part: DatasetPart
    scores: NDArray[np.float32]  # (n,)
    threshold: float
    labelled: bool
    above: NDArray[np.bool_] | None = None  # (n,) beats above the threshold that the other patients gave

    @property
    def abnormal(self) -> NDArray[np.bool_]:
        return self.part.abnormal

    @property
    def flagged(self) -> NDArray[np.bool_]:
        return self.scores > np.float32(self.threshold) if self.above is None else self.above

    @property
    def false_alarms(self) -> NDArray[np.int64]:
        """Rows of normal beats that are flagged, the highest score first."""
        return self._ordered(self.flagged & ~self.abnormal)[::-1]

    @property
    def missed(self) -> NDArray[np.int64]:
        """Rows of abnormal beats that are not flagged, the lowest score first."""
        return self._ordered(~self.flagged & self.abnormal)

    def kind(self, row: int) -> str:
        """The name of a beat's class; "normal" or "abnormal" if the file has no classes."""
        if self.part.classes is not None:
            return datasets.KINDS[int(self.part.classes[row])]
        return "abnormal" if self.abnormal[row] else "normal"

    def abnormal_kinds(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Each kind of abnormal beats that occurs, with its rows from the lowest score to the highest."""
        if self.part.classes is None:
            if self.abnormal.any():
                yield "abnormal", self._ordered(self.abnormal)
            return
        for number in np.unique(self.part.classes[self.abnormal]).tolist():
            yield datasets.KINDS[number], self._ordered(self.part.classes == number)

    def normal_rows(self) -> NDArray[np.int64]:
        """Rows of normal beats from the lowest score to the highest."""
        return self._ordered(~self.abnormal)

    def _ordered(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        order = np.argsort(self.scores, kind="stable")
        return order[chosen[order]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Figures for ascending thresholds, in columns (k,). Precision and F1 are NaN where nothing is flagged."""

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """For k budgets, the false-alarm rates that thresholds by them have on beats that did not set the threshold."""

    budgets: NDArray[np.float64]  # (k,)
    measured: NDArray[np.float64]  # (SPLITS, k): threshold by one half of the calibration beats, rate on the other
    on_test: NDArray[np.float64] | None  # (k,): threshold by all calibration beats, rate on the normal test beats
    half: int  # number of beats in a half
    confidence: float

    def kept(self) -> NDArray[np.float64]:
        """The share (k,) of random halves in which each budget was kept."""
        return np.asarray((self.measured <= self.budgets).mean(axis=0))


def scored(model: Model, dataset: Dataset, judged: HeldOutVerdicts | None = None) -> ScoredSplit:
    """The test beats with their scores. If there is no normal test beat, the training beats with theirs.

    Where patients are known, the training beats as they were `judged` by what was learnt from the other patients.
    """
    test, threshold, labelled = dataset.test, model.manifest.threshold.value, model.manifest.evaluation is not None
    if judged is not None:
        return ScoredSplit("beats", dataset.train, judged.scores, threshold, labelled, judged.above)
    part, name = (dataset.train, "training beats") if test is None or test.abnormal.all() else (test, "test beats")
    return ScoredSplit(name, part, scoring.scores(model, part.samples), threshold, labelled)


def swept(beats: ScoredSplit) -> Sweep:
    """Precision, recall, F1 and false-positive rate for thresholds from the lowest score to the highest."""
    low, high = _range(beats.scores)
    thresholds = np.unique(np.append(np.geomspace(low, high, SWEEP_POINTS), beats.threshold)).astype(np.float32)
    true = _above(beats.scores[beats.abnormal], thresholds)
    false = _above(beats.scores[~beats.abnormal], thresholds)
    abnormals, normals = int(beats.abnormal.sum()), int((~beats.abnormal).sum())
    with np.errstate(invalid="ignore"):
        precision = true / (true + false)
        f1 = np.where(true + false > 0, 2 * true / (true + false + abnormals), np.nan)
    return Sweep(thresholds.astype(np.float64), precision, true / abnormals, f1, false / normals)


def budget_check(model: Model, beats: ScoredSplit) -> BudgetCheck | None:
    """Thresholds set by random halves of the calibration scores, and the rates that they have on the other halves.

    None if the model's threshold rule keeps no budget, or keeps it by people, or if there are too few scores.
    """
    scores, confidence = np.array(model.manifest.calibration, np.float32), model.manifest.threshold.confidence
    if not confidence or beats.above is not None:
        return None
    half = len(scores) // 2
    ranks = np.array([conformal.rank(half, rate, confidence) for rate in RATES])
    if not ranks.any():
        return None
    budgets, ranks = np.array(RATES)[ranks > 0], ranks[ranks > 0]
    draw = np.random.default_rng(0)
    measured = np.stack([_measured(draw.permutation(scores), half, ranks) for _ in range(SPLITS)])
    return BudgetCheck(budgets, measured, _on_test(scores, budgets, confidence, beats), half, confidence)


def _measured(shuffled: NDArray[np.float32], half: int, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    set_by, others = np.sort(shuffled[:half]), shuffled[half:]
    return np.asarray(_above(others, set_by[-ranks]) / len(others))


def _on_test(
    scores: NDArray[np.float32], budgets: NDArray[np.float64], confidence: float, beats: ScoredSplit
) -> NDArray[np.float64] | None:
    if not beats.labelled:
        return None
    ranks = np.array([conformal.rank(len(scores), rate, confidence) for rate in budgets.tolist()])
    return np.asarray(_above(beats.scores[~beats.abnormal], scores[-ranks]) / int((~beats.abnormal).sum()))


def _above(scores: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.int64]:
    """The number of scores above each threshold."""
    return np.asarray(len(scores) - np.searchsorted(np.sort(scores), thresholds, side="right"))


def _range(scores: NDArray[np.float32]) -> tuple[float, float]:
    """The lowest and the highest score, both raised above 0 so that they have a logarithm."""
    high = max(float(scores.max()), 1e-9)
    return max(float(scores.min()), 1e-6 * high), high
