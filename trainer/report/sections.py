"""The sections of a report: the words, tables and captions that stand beside its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.evaluation import by_patient
from trainer.evaluation.evaluation import BY_PATIENT, thresholds
from trainer.report import curves, findings, plots
from trainer.report.page import PageFigure, Section, Table
from trainer.threshold import conformal, false_alarms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.model.manifest import Figures, Model
    from trainer.data.datasets import Dataset
    from trainer.report.findings import BudgetCheck, ScoredSplit

HEADS = ("detector", "AUC", "AP", "TPR@1%", "TPR@5%", "accuracy", "precision", "recall", "FPR", "threshold")
HEADS_IN_WORDS = (
    "AUC: area under the ROC curve. AP: average precision. TPR@1%: share of abnormal beats found when 1 % of the "
    "normal beats are flagged; TPR@5% likewise. The other figures hold at the detector's threshold. Accuracy: share of "
    "beats sorted correctly. Precision: share of flagged beats that are abnormal. Recall: share of abnormal beats that "
    "are flagged. FPR: share of normal beats that are flagged."
)
WORST = 6
NORMALS = 6


def head(model: Model, dataset: Dataset, found: ScoredSplit) -> Section:
    """What the model is, what it was trained on, and what its threshold means."""
    manifest, threshold = model.manifest, model.manifest.threshold
    members, prototypes = manifest.network.members, manifest.score.prototypes
    several = f"; the mean of {members} such networks" if members > 1 else ""
    typical = f"; {prototypes} typical beats for comparison" if prototypes else ""
    widths = "-".join(map(str, manifest.network.mirrored))
    facts = {
        "Network": f"{manifest.network.kind} autoencoder with layers of {widths} values{several}{typical}",
        "Random seed": str(manifest.training.get("seed", "unknown")),
        "Trained on": f"{dataset.name}: {manifest.data.normals:,} normal beats. "
        f"({manifest.data.abnormals:,} abnormal beats in the training part were not used to train the network.)",
        "Origin of the beats": manifest.window.source,
        "How they are cut": str(manifest.window.cut),
        "Tested on": _tested_on(found),
        "Threshold": conformal.sentence(threshold),
        **_false_alarms(model, found),
    }
    early = (
        f"The training was stopped by hand after {manifest.training.get('epochs')} epochs. "
        "With more epochs the model would probably be better."
    )
    notes = (early if manifest.training.get("interrupted") else "", *dataset.notes)
    return Section("The model", tuple(filter(None, notes)), Table((), tuple(facts.items())))


def _false_alarms(model: Model, found: ScoredSplit) -> dict[str, str]:
    """What the threshold promises and what the test says; of people only what was measured on each of them."""
    if found.above is not None:
        shares = by_patient.normal_shares(by_patient.figures(found.part, found.scores, found.above))
        return {"False alarms": false_alarms.of_people(shares)}
    facts = {"False alarms": false_alarms.sentence(model.manifest.threshold)}
    if found.labelled:
        facts["False alarms in the test"] = false_alarms.measured(_ours(model).false_positive_rate)
    return facts


def _tested_on(found: ScoredSplit) -> str:
    abnormals = int(found.abnormal.sum())
    if not found.labelled:
        return "Not tested: this needs labelled beats, both normal and abnormal, that are not in the training part."
    counts = f"{len(found.part) - abnormals:,} normal and {abnormals:,} abnormal {found.name}"
    if found.above is not None:
        return (
            f"{counts}. Each patient is judged by networks and a threshold of the other patients. The network in the "
            "file was trained in the same way, on all of them."
        )
    return f"{counts}. They had no influence on the network or on the threshold."


def evaluation(model: Model) -> Section | None:
    """The figures of the manifest as a table, with this model in the first row."""
    found = model.manifest.evaluation
    if found is None:
        return None
    shown = len(HEADS) - (found.split == BY_PATIENT)  # each patient has another threshold: there is none to show
    rows = tuple((row.detector, *_cells(row))[:shown] for row in found.rows)
    how = thresholds(model.manifest.threshold, found.split)
    text = (
        f"Data: {found.split}. The first row is this model; PCA-4 (four principal components) and 1-NN (distance to "
        f"the nearest normal beat) are simpler detectors for comparison. {how[0].upper()}{how[1:]}."
    )
    return Section("Evaluation", (text, HEADS_IN_WORDS), Table(HEADS[:shown], rows, ours=0))


def _cells(row: Figures) -> tuple[str, ...]:
    values = (
        row.auc, row.average_precision, row.tpr_at_1_percent_fpr, row.tpr_at_5_percent_fpr,
        row.accuracy, row.precision, row.recall, row.false_positive_rate,
    )  # fmt: skip
    return (*("none" if value is None else f"{value:.4f}" for value in values), f"{row.threshold:.4g}")


def training(losses: Sequence[float]) -> Section:
    """The loss over the epochs."""
    ends = f"loss {losses[0]:.4g} in the first and {losses[-1]:.4g} in the last"
    fact = f"{len(losses):,} epochs, {ends}" if len(losses) > 1 else f"1 epoch, loss {losses[0]:.4g}"
    caption = (
        f"{fact}. The network gets a noisy beat and must give back the clean one. It cannot know the noise, so the "
        "loss does not fall to zero."
    )
    return Section("Training", (), None, (PageFigure("training", plots.training(losses), f"Curve: {fact}", caption),))


def reconstruction(model: Model, found: ScoredSplit) -> Section:
    """Normal beats, and each kind of abnormal beats, from low scores to high ones."""
    normal = np.array(plots.spread(found.normal_rows(), NORMALS))
    drawn = [
        PageFigure(
            "reconstruction-normal",
            plots.beats(model, found, plots.in_lines(normal, NORMALS)),
            f"{len(normal)} normal beats, each with a reconstruction that follows it closely",
            f"Normal {found.name}, from low scores to high ones in equal steps of rank. The network has learned these "
            "shapes and gives them back.",
        )
    ]
    kinds = dict(found.abnormal_kinds())
    if kinds:
        drawn.append(_abnormal_beats(model, found, kinds))
    text = (
        "Each panel shows a beat, its reconstruction by the network, and the error between them (shaded). The vertical "
        "axis is the amplitude in standard deviations of the beat, the horizontal axis is the sample number. The score "
        "is computed from the error"
    ) + (" and from the difference to the nearest typical beat." if model.score.prototypes else ".")
    return Section("Reconstruction", (text,), None, tuple(drawn))


def _abnormal_beats(model: Model, found: ScoredSplit, kinds: dict[str, NDArray[np.int64]]) -> PageFigure:
    lines = [plots.spread(rows, plots.COLUMNS) for rows in kinds.values()]
    counts = ", ".join(f"{len(rows):,} {kind}" for kind, rows in kinds.items())
    caption = (
        f"Abnormal {found.name} by kind ({counts}): a low, a middle and a high score of each. The network draws a beat "
        "that looks normal, so the error is large where the beat is not."
    )
    alt = f"Abnormal beats with their reconstructions, one line of panels for each kind: {', '.join(kinds)}"
    return PageFigure("reconstruction-abnormal", plots.beats(model, found, lines), alt, caption)


def scores(model: Model, found: ScoredSplit) -> Section:
    """The distribution of the scores, and what other thresholds would give."""
    if not found.labelled:
        cross_fitted = np.array(model.manifest.calibration, np.float32)
        picture = _histogram(cross_fitted, cross_fitted[:0], found, "the training beats, by cross-fitting")
        return Section("Scores", (), None, (picture,))
    ours = _ours(model)
    normal, abnormal = found.scores[~found.abnormal], found.scores[found.abnormal]
    whose = (
        "the model's threshold" if found.above is None else "the threshold that the other patients give for each one"
    )
    at = f"At {whose} {ours.recall:.2%} of abnormal beats are flagged"
    roc = PageFigure(
        "roc",
        curves.roc(found, ours),
        f"ROC curve with area {ours.auc:.4f}",
        f"ROC curve: abnormal beats found against normal beats flagged, over all thresholds. {at}, and "
        f"{ours.false_positive_rate:.2%} of normal ones. The dotted line is guessing.",
    )
    precision_recall = PageFigure(
        "precision-recall",
        curves.precision_recall(found, ours),
        f"Precision-recall curve with average precision {ours.average_precision:.4f}",
        "Precision (share of flagged beats that are abnormal) against recall (share of abnormal beats that are "
        f"flagged), over all thresholds. {at}, and {_share(ours.precision)} of the flagged beats are "
        "abnormal. The dotted line is guessing.",
    )
    histogram = _histogram(normal, abnormal, found, f"the {found.name}")
    return Section("Scores", (), _by_kind(found), (histogram, _sweep(found), roc, precision_recall))


def _sweep(found: ScoredSplit) -> PageFigure:
    swept = findings.swept(found)
    best = int(np.nanargmax(swept.f1))
    chosen = "The model's threshold was chosen without looking at these beats."
    if found.above is not None:
        chosen = "The threshold in the file was chosen from these scores, of networks that had not learnt the patient."
    return PageFigure(
        "threshold",
        curves.sweep(swept, found.threshold),
        "Precision, recall, F1 and the share of normal beats flagged, against the threshold",
        f"What other thresholds would give. F1 combines precision and recall; its highest value on these beats, "
        f"{swept.f1[best]:.4f}, is at the threshold {swept.threshold[best]:.3g}. {chosen}",
    )


def _by_kind(found: ScoredSplit) -> Table:
    """How many beats of each kind are flagged. For normal beats few is good, for the others many is good."""
    kinds = [("normal", found.normal_rows()), *found.abnormal_kinds()]
    rows = tuple(
        (kind, f"{len(rows):,}", f"{int(found.flagged[rows].sum()):,}", f"{found.flagged[rows].mean():.2%}")
        for kind, rows in kinds
    )
    flagged = "flagged" if found.above is None else "flagged by the thresholds of the other patients"
    return Table(("kind of beat", "beats", flagged, "share flagged"), rows)


def _histogram(normal: NDArray[np.float32], abnormal: NDArray[np.float32], found: ScoredSplit, name: str) -> PageFigure:
    threshold = np.float32(found.threshold)
    counts = f"{int((normal > threshold).sum()):,} of {len(normal):,} normal beats"
    if len(abnormal):
        counts += f" and {int((abnormal > threshold).sum()):,} of {len(abnormal):,} abnormal ones"
    png = curves.histogram(normal, abnormal, found.threshold)
    alt = f"Histogram of scores with the threshold: {counts} lie above it"
    which = "the threshold" if found.above is None else "the threshold in the file"
    caption = f"Scores of {name}: {counts} lie above {which}. Both axes are logarithmic."
    return PageFigure("scores", png, alt, caption)


def calibration(model: Model, found: ScoredSplit) -> Section | None:
    """Whether thresholds by a false-alarm budget keep it, tried on random halves of the calibration scores.

    None if the model's threshold has no budget, or keeps it by people, or if there are too few scores.
    """
    check = findings.budget_check(model, found)
    if check is None:
        return None
    budget = model.manifest.threshold.false_alarm_rate
    ours = (budget, _ours(model).false_positive_rate) if found.labelled else None
    text = (
        "The threshold was chosen so that a budget of false alarms is kept. Here this rule is tried many times: "
        f"{findings.SPLITS} times the {len(model.manifest.calibration):,} scores of normal training beats are divided "
        "at random into halves. One half sets a threshold, and the other half shows how many normal beats it flags."
    )
    caption = _kept(check, budget)
    if ours is not None:
        caption += f" This model's budget is {ours[0]:.1%}; in the test it flags {ours[1]:.2%} of the normal beats."
    alt = "Share of normal beats flagged against the budget, over many random halves, with the line of the budget"
    picture = PageFigure("calibration", curves.budget_check(check, ours), alt, caption)
    return Section("Is the false-alarm budget kept?", (text,), None, (picture,))


def _kept(check: BudgetCheck, rate: float) -> str:
    at = int(np.argmin(np.abs(check.budgets - rate)))
    return (
        f"Below the dashed line the budget is kept. A budget of {check.budgets[at]:.1%} was kept in "
        f"{check.kept()[at]:.0%} of the tries; the rule aims at {check.confidence:.0%}. (Each half has only "
        f"{check.half:,} beats, so chance makes the measured shares vary.)"
    )


def mistakes(model: Model, found: ScoredSplit) -> Section:
    """The beats with the worst errors of the model; without labels, the beats with the highest scores."""
    if not found.labelled:
        rows = found.normal_rows()[::-1][:WORST]
        caption = (
            f"The {len(rows)} {found.name} with the highest scores, the highest first. Someone who can read an ECG "
            "should check whether they are normal."
        )
        return Section("The most unusual beats", (), None, (_worst(model, found, rows, "worst", caption),))
    drawn, texts = [], []
    for file, name, rows, which in (
        ("false-alarms", "wrongly flagged beats", found.false_alarms, "normal beats, the highest score first"),
        ("missed-beats", "missed beats", found.missed, "abnormal beats that are not flagged, the lowest score first"),
    ):
        shown = min(WORST, len(rows))
        if shown:
            caption = f"{shown} of {len(rows):,} {name}: {which}."
            drawn.append(_worst(model, found, rows, file, caption))
        else:
            texts.append(f"There are no {name}.")
    return Section("The worst mistakes", tuple(texts), None, tuple(drawn))


def _worst(model: Model, found: ScoredSplit, rows: NDArray[np.int64], name: str, caption: str) -> PageFigure:
    lines = plots.in_lines(rows, WORST)
    listed = "; ".join(f"{found.kind(row)}, score {found.scores[row]:#.3g}" for line in lines for row in line)
    return PageFigure(name, plots.beats(model, found, lines, kind_above=True), f"Beats: {listed}", caption)


def missing(model: Model, found: ScoredSplit) -> Section | None:
    """What a report without labelled test beats cannot show, and why."""
    if found.labelled:
        return None
    labels = (
        "There are no evaluation, no curves over all thresholds and no list of mistakes. They need labelled beats, "
        "both normal and abnormal, that the model was not trained on. Give a file with a label in the last column "
        "(1 = normal, 0 = abnormal), or recordings with annotations."
    )
    texts = [labels]
    if not model.manifest.threshold.confidence:
        texts.append("There is no check of the false-alarm budget: the threshold's rule has no budget.")
    elif found.above is None and findings.budget_check(model, found) is None:
        normals = len(model.manifest.calibration)
        texts.append(f"There is no check of the false-alarm budget: {normals:,} normal beats are too few to halve.")
    return Section("What is missing here", tuple(texts))


def _ours(model: Model) -> Figures:
    evaluation = model.manifest.evaluation
    if evaluation is None:
        raise ValueError("a model that was not evaluated has no figures")
    return evaluation.rows[0]


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.2%}"
