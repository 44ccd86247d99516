"""Figures of each patient, from scores by networks that did not learn from that patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_auc_score

from monitor.model.fit import LARGEST_SHARE
from monitor.terminal import count_of
from trainer.data.datasets import VENTRICULAR_CLASS
from trainer.threshold import people

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from monitor.model.manifest import ThresholdSpec
    from trainer.data.datasets import DatasetPart
    from trainer.threshold.rule import ThresholdRule

    Bools = NDArray[np.bool_]
    Scores = NDArray[np.float32]

LEAST_VENTRICULAR = 5  # beats of a patient: below, the area under the curve of one patient says little
MOST_LINES, MOST_NAMED = 60, 10


@dataclass(frozen=True, slots=True)
class HeldOutVerdicts:
    """Beats with scores (n,) by networks that did not learn from their patient.

    `above` (n,): whether a beat lies above the threshold that the rule gives from the scores of all other patients.
    """

    scores: Scores
    above: Bools


@dataclass(frozen=True, slots=True)
class PatientFigures:
    """One patient. Rates are shares of the beats that are flagged; None without such beats."""

    patient: str
    normals: int
    abnormals: int
    ventricular: int
    false_positive_rate: float | None
    recall: float | None
    ventricular_recall: float | None
    ventricular_auc: float | None  # ventricular beats against the patient's own normal ones


def judged(part: DatasetPart, scores: Scores, rule: ThresholdRule) -> HeldOutVerdicts | None:
    """Beats (n,) with their held-out scores, judged patient by patient. None where patients are not known."""
    if part.patients is None:
        return None
    above = np.zeros(len(part), np.bool_)
    for name in np.unique(part.patients):
        own = part.patients == name
        threshold = people.chosen(rule, scores[~own], part.abnormal[~own], part.patients[~own])
        above[own] = scores[own] > np.float32(threshold.value)
    return HeldOutVerdicts(scores, above)


def figures(part: DatasetPart, scores: Scores, above: Bools) -> tuple[PatientFigures, ...]:
    """The figures of each patient, by name, from scores (n,) and from the beats that are flagged (n,)."""
    names = np.repeat("", len(part)) if part.patients is None else part.patients
    is_ventricular = np.zeros(len(part), np.bool_) if part.classes is None else part.classes == VENTRICULAR_CLASS
    rows = (names == name for name in np.unique(names))
    return tuple(
        _patient(str(names[own][0]), scores[own], above[own], part.abnormal[own], is_ventricular[own]) for own in rows
    )


def _patient(name: str, scores: Scores, above: Bools, abnormal: Bools, ventricular: Bools) -> PatientFigures:
    judged = ventricular | ~abnormal
    measurable = ventricular.any() and not ventricular[judged].all()
    return PatientFigures(
        patient=name,
        normals=int((~abnormal).sum()),
        abnormals=int(abnormal.sum()),
        ventricular=int(ventricular.sum()),
        false_positive_rate=_share(above[~abnormal]),
        recall=_share(above[abnormal]),
        ventricular_recall=_share(above[ventricular]),
        ventricular_auc=float(roc_auc_score(ventricular[judged], scores[judged])) if measurable else None,
    )


def _share(above: Bools) -> float | None:
    return float(above.mean()) if len(above) else None


def normal_shares(found: Sequence[PatientFigures]) -> tuple[float, ...]:
    """The share of each patient's normal beats that is flagged; patients without such beats are left out."""
    return tuple(_known(each.false_positive_rate for each in found))


def summary(found: Sequence[PatientFigures], threshold: ThresholdSpec) -> tuple[str, ...]:
    """The figures in words: over patients, not over beats, so that nobody counts more than others."""
    rates = np.array(normal_shares(found))
    texts = []
    if len(rates):
        over = int((rates > threshold.false_alarm_rate).sum())
        texts.append(
            f"Normal beats flagged, by patient: median {np.median(rates):.2%}, worst {rates.max():.1%}; more than "
            f"{threshold.false_alarm_rate:.1%} in {over} of {count_of(len(rates), 'patient')}."
        )
    unfit = [each.patient for each in found if (each.false_positive_rate or 0.0) > LARGEST_SHARE]
    if unfit:
        texts.append(
            f"The model does not fit {len(unfit)} of them ({', '.join(unfit[:MOST_NAMED])}): most of their normal "
            "beats are flagged."
        )
    enough = [each for each in found if each.ventricular >= LEAST_VENTRICULAR]
    areas, recalls = _known(each.ventricular_auc for each in enough), _known(each.ventricular_recall for each in enough)
    if areas:
        texts.append(
            f"Ventricular beats beside normal ones in {count_of(len(areas), 'patient')} with {LEAST_VENTRICULAR} or "
            f"more: AUC median {np.median(areas):.4f}, mean {np.mean(areas):.4f}, worst {min(areas):.4f}; share "
            f"flagged median {np.median(recalls):.1%}, mean {np.mean(recalls):.1%}."
        )
    return tuple(texts)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


HEADS = ("patient", "normal", "abnormal", "ventricular", "FPR", "recall", "V recall", "V AUC")


def cells(found: Sequence[PatientFigures]) -> tuple[tuple[str, ...], ...]:
    """A row of text for each patient, under HEADS; a dash stands for what cannot be measured."""
    return tuple(
        (
            each.patient, f"{each.normals:,}", f"{each.abnormals:,}", f"{each.ventricular:,}",
            *("-" if value is None else f"{value:.4f}" for value in (
                each.false_positive_rate, each.recall, each.ventricular_recall, each.ventricular_auc
            )),
        )
        for each in found
    )  # fmt: skip


def table(found: Sequence[PatientFigures]) -> str:
    """The table for the terminal; of very many patients only those with the most false alarms."""
    worst = sorted(found, key=lambda each: each.false_positive_rate or 0.0, reverse=True)[:MOST_LINES]
    shown = found if len(found) <= MOST_LINES else worst
    lines = ["".join(f"{cell[:12]:>12}" for cell in row) for row in (HEADS, *cells(shown))]
    return "\n".join(lines)
