"""The sections of a report on recordings: what the model does for each patient, and the beats that were set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.data.datasets import VENTRICULAR_CLASS
from trainer.evaluation import by_patient
from trainer.fitting import scoring
from trainer.report import plots
from trainer.report.findings import ScoredSplit
from trainer.report.page import PageFigure, Section, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from monitor.model.manifest import Model
    from trainer.data.datasets import Dataset

SHOWN = 6
MOST_DRAWN = 40


def patients(model: Model, found: ScoredSplit) -> Section | None:
    """The figures of each patient. None where patients are not known."""
    if found.above is None or found.part.patients is None:
        return None
    rows = by_patient.figures(found.part, found.scores, found.above)
    text = (
        "One row for each patient, judged by networks and a threshold of the other patients: this is what to expect "
        "for a new one. FPR: share of the normal beats that are flagged. Recall: share of the abnormal beats that are "
        "flagged; V recall: of the ventricular ones. V AUC: area under the ROC curve of the ventricular beats beside "
        "the patient's own normal ones, which does not depend on the threshold."
    )
    worst = sorted(rows, key=lambda each: each.false_positive_rate or 0.0, reverse=True)[:MOST_DRAWN]
    caption = (
        "Scores by patient, on a logarithmic axis. The patient whose normal beats are flagged most is the lowest one. "
        "Bar: from the 5 % to the 95 % quantile of the normal beats; dot: their median; cross: the median of the "
        "ventricular beats. Dashed: the model's threshold. Where bars lie at different places, one "
        "threshold for all finds little in some patients and raises false alarms in others."
    )
    png = _ranges(found, [each.patient for each in worst])
    picture = PageFigure("patients", png, f"Ranges of the scores of {len(worst)} patients", caption)
    texts = (text, *by_patient.summary(rows, model.manifest.threshold))
    return Section("Patient by patient", texts, Table(by_patient.HEADS, by_patient.cells(rows)), (picture,))


def _ranges(found: ScoredSplit, names: list[str]) -> bytes:
    patient = np.repeat("", len(found.part)) if found.part.patients is None else found.part.patients
    ventricular = found.part.classes == VENTRICULAR_CLASS

    def draw(panels: list[Axes]) -> None:
        axes = panels[0]
        for place, name in enumerate(names):
            own = patient == name
            normal, other = found.scores[own & ~found.abnormal], found.scores[own & ventricular]
            if len(normal):
                low, middle, high = np.quantile(normal, (0.05, 0.5, 0.95))
                axes.plot([low, high], [place, place], color=plots.NORMAL, linewidth=3, alpha=0.5)
                axes.plot([middle], [place], color=plots.NORMAL, marker="o", linestyle="none")
            if len(other):
                axes.plot([np.median(other)], [place], color=plots.ABNORMAL, marker="x", linestyle="none")
        axes.axvline(found.threshold, color=plots.INK, linestyle="--", linewidth=1.3)
        axes.set(xscale="log", xlabel="score", yticks=range(len(names)), yticklabels=[name[:16] for name in names])

    return plots.drawn((6.4, 1.0 + 0.22 * len(names)), 1, 1, draw)


def aside(model: Model, dataset: Dataset) -> Section | None:
    """The beats that were not taken as normal, though nothing labels them. None if there are none."""
    part = dataset.aside
    if part is None or not len(part):
        return None
    part = part.only(scoring.scorable(part.samples))
    scores = scoring.scores(model, part.samples)
    split = ScoredSplit("beats set aside", part, scores, model.manifest.threshold.value, labelled=False)
    text = (
        "Recordings without annotations do not say which beats are normal. All were taken as normal but these, which "
        "do not look like the typical beat of their lead. The network has not learnt from them, and the threshold does "
        "not depend on them. If they are normal, or if others are not, annotate the recordings."
    )
    rows = tuple(
        (
            f"{each.recording}, {each.lead}",
            f"{each.found:,}",
            f"{each.aside:,}",
            f"{each.aside / max(1, each.found):.1%}",
        )
        for each in dataset.leads
        if not each.annotated
    )
    table = Table(("recording and lead", "beats", "set aside", "share"), rows)
    return Section("Beats set aside", (text,), table, _worst(model, split))


def _worst(model: Model, split: ScoredSplit) -> tuple[PageFigure, ...]:
    rows: NDArray[np.int64] = np.argsort(-split.scores, kind="stable")[:SHOWN]
    if not len(rows):
        return ()
    png = plots.beats(model, split, plots.in_lines(rows, SHOWN), kind_above=True)
    caption = f"{len(rows)} of {len(split.part):,} beats that were set aside: those with the highest scores."
    return (PageFigure("set-aside", png, caption, caption),)
