"""The sections of a report: what each says, in words and numbers, beside its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.evaluation import evaluate
from trainer.report import curves, findings, plots
from trainer.report.page import PageFigure, Section, Table
from trainer.threshold import calibrate, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.model.manifest import Figures, Model
    from trainer.data.dataset import Dataset
    from trainer.report.findings import Promise, ScoredSplit

HEADS = ("detector", "AUC", "AP", "TPR@1%", "TPR@5%", "accuracy", "precision", "recall", "FPR", "threshold")
WORST = 6
NORMALS = 6


def head(model: Model, dataset: Dataset, found: ScoredSplit) -> Section:
    """What this model is, what it learnt from, and what its threshold means."""
    said, limit = model.manifest, model.manifest.threshold
    several = f", the mean of {said.network.members} such" if said.network.members > 1 else ""
    typical = f", and {said.score.prototypes} typical beats" if said.score.prototypes else ""
    meant = "the whole budget" if limit.confidence else "on the training beats"
    facts = {
        "network": f"{said.network.kind} autoencoder, {'-'.join(map(str, said.network.mirrored))}{several}{typical}",
        "seed": str(said.training.get("seed", "not told")),
        "learnt from": f"{dataset.name}: {said.data.normals:,} normal beats "
        f"({said.data.abnormals:,} abnormal beats beside them were not learnt from)",
        "beats": said.window.source,
        "judged by": _judged_by(found),
        "threshold": f"{limit.value:.6g}: a beat with a higher score is flagged",
        "its rule": calibrate.sentence(limit),
        "at the bedside": f"{meant}: {sweep.bedside(limit.false_alarm_rate)}",
    }
    if found.labelled:
        facts["… as realised"] = f"what the test realised: {sweep.bedside(_ours(model).false_positive_rate)}"
    early = f"The training was stopped by hand after {said.training.get('epochs')} epochs: more would have been better."
    notes = (early if said.training.get("interrupted") else "", limit.note, *dataset.notes)
    return Section("The model", tuple(filter(None, notes)), Table((), tuple(facts.items())))


def _judged_by(found: ScoredSplit) -> str:
    abnormals = int(found.abnormal.sum())
    if not found.labelled:
        return "nothing: there are no labelled beats of both kinds beside those learnt from"
    return (
        f"{len(found.part) - abnormals:,} normal and {abnormals:,} abnormal {found.name}, by which nothing was chosen"
    )


def evaluation(model: Model) -> Section | None:
    """The figures of the manifest, this model first."""
    found = model.manifest.evaluation
    if found is None:
        return None
    rows = tuple((row.detector, *_cells(row)) for row in found.rows)
    text = f"{found.split}; abnormal is the positive class; {evaluate.thresholds(model.manifest.threshold)}."
    return Section("Evaluation", (text,), Table(HEADS, rows, ours=0))


def _cells(row: Figures) -> tuple[str, ...]:
    values = (
        row.auc, row.average_precision, row.tpr_at_1_percent_fpr, row.tpr_at_5_percent_fpr,
        row.accuracy, row.precision, row.recall, row.false_positive_rate,
    )  # fmt: skip
    return (*("none" if value is None else f"{value:.4f}" for value in values), f"{row.threshold:.4g}")


def training(losses: Sequence[float]) -> Section:
    ends = f"loss {losses[0]:.4g} in the first and {losses[-1]:.4g} in the last"
    fact = f"{len(losses):,} epochs, {ends}" if len(losses) > 1 else f"1 epoch, loss {losses[0]:.4g}"
    caption = f"{fact}. It counts noisy input against the clean beat, so it does not go to zero."
    return Section("Training", (), None, (PageFigure("training", plots.training(losses), f"Curve: {fact}", caption),))


def reconstruction(model: Model, found: ScoredSplit) -> Section:
    """Normal beats beside every kind of abnormal ones, from those with low scores to those with high ones."""
    normal = np.array(plots.spread(found.normal_rows(), NORMALS))
    drawn = [
        PageFigure(
            "reconstruction-normal",
            plots.beats(model, found, plots.in_lines(normal, NORMALS)),
            f"{len(normal)} normal beats, each with a reconstruction that follows it closely",
            f"Normal {found.name}, from low scores to high ones in equal steps of rank: the network has learnt these "
            "shapes.",
        )
    ]
    kinds = dict(found.abnormal_kinds())
    if kinds:
        lines = [plots.spread(rows, plots.COLUMNS) for rows in kinds.values()]
        counts = ", ".join(f"{len(rows):,} {kind}" for kind, rows in kinds.items())
        caption = f"Abnormal {found.name} by kind ({counts}), low, middle and high scores of each: a normal-looking "
        caption += "reconstruction, and what it misses."
        png = plots.beats(model, found, lines)
        alt = f"Abnormal beats beside their reconstruction, a line of panels for each kind: {', '.join(kinds)}"
        drawn.append(PageFigure("reconstruction-abnormal", png, alt, caption))
    text = "Amplitude in standard deviations of the beat, over the sample number. The error is shaded; the score is "
    text += "made of it" + (", and of what the nearest typical beat leaves." if model.score.prototypes else ".")
    return Section("Reconstruction", (text,), None, tuple(drawn))


def scores(model: Model, found: ScoredSplit) -> Section:
    """Where the scores lie, and what every other threshold would do."""
    if not found.labelled:
        cross = np.array(model.manifest.calibration, np.float32)
        return Section("Scores", (), None, (_histogram(cross, cross[:0], found, "cross-fitted training beats"),))
    ours, swept = _ours(model), findings.swept(found)
    split = _histogram(found.scores[~found.abnormal], found.scores[found.abnormal], found, found.name)
    at = f"at the shipped threshold {ours.recall:.2%} of abnormal beats are found"
    best = int(np.nanargmax(swept.f1))
    return Section(
        "Scores",
        (),
        _by_kind(found),
        (
            split,
            PageFigure(
                "threshold",
                curves.sweep(swept, found.threshold),
                "Precision, recall, F1 and false alarm rate against the threshold",
                f"What other thresholds would do. The highest F1 on these beats, {swept.f1[best]:.4f}, is at "
                f"{swept.threshold[best]:.3g}; the shipped one was chosen without them.",
            ),
            PageFigure(
                "roc",
                curves.roc(found, ours),
                f"ROC curve with area {ours.auc:.4f}",
                f"ROC: {at} with {ours.false_positive_rate:.2%} of normal ones flagged.",
            ),
            PageFigure(
                "precision-recall",
                curves.precision_recall(found, ours),
                f"Precision-recall curve with average precision {ours.average_precision:.4f}",
                f"Precision and recall: {at}, and {_share(ours.precision)} of what is flagged is abnormal. The dotted "
                "line is the share of abnormal beats, where guessing lies.",
            ),
        ),
    )


def _by_kind(found: ScoredSplit) -> Table:
    """How many of each kind are flagged: of normal beats as few as possible, of the others all."""
    kinds = [("normal", found.normal_rows()), *found.abnormal_kinds()]
    rows = tuple(
        (kind, f"{len(rows):,}", f"{int(found.flagged[rows].sum()):,}", f"{found.flagged[rows].mean():.2%}")
        for kind, rows in kinds
    )
    return Table(("kind", "beats", "flagged", "share"), rows)


def _histogram(normal: NDArray[np.float32], abnormal: NDArray[np.float32], found: ScoredSplit, name: str) -> PageFigure:
    limit = np.float32(found.threshold)
    counts = f"{int((normal > limit).sum()):,} of {len(normal):,} normal beats"
    if len(abnormal):
        counts += f" and {int((abnormal > limit).sum()):,} of {len(abnormal):,} abnormal ones"
    png = curves.histogram(normal, abnormal, found.threshold)
    alt = f"Histogram of scores with the threshold: {counts} lie above it"
    return PageFigure("scores", png, alt, f"Scores of {name}, both axes logarithmic: {counts} lie above the threshold.")


def calibration(model: Model, found: ScoredSplit) -> Section | None:
    """Whether the false-alarm budget is kept, tried on the calibration scores alone."""
    kept = findings.promise(model, found)
    if kept is None:
        return None
    limit = model.manifest.threshold
    shipped = (limit.false_alarm_rate, _ours(model).false_positive_rate) if found.labelled else None
    caption = _kept(kept, limit.false_alarm_rate)
    if shipped is not None:
        caption += f" This model promised {shipped[0]:.1%} and realised {shipped[1]:.2%} on the test's normal beats."
    alt = "Realised against promised false alarm rate over many random splits, with the line of the promise"
    return Section("Calibration", (), None, (PageFigure("calibration", curves.promise(kept, shipped), alt, caption),))


def _kept(kept: Promise, rate: float) -> str:
    at = int(np.argmin(np.abs(kept.promised - rate)))
    return (
        f"{findings.SPLITS} times the cross-fitted scores of normal beats are split at random: the rule sets a "
        f"threshold by {kept.half:,} of them, the others tell what it flags. A promise of {kept.promised[at]:.1%} was "
        f"kept in {kept.kept()[at]:.0%} of the splits (the rule's confidence is {kept.confidence:.0%}; counting by so "
        "few beats adds a chance of its own)."
    )


def mistakes(model: Model, found: ScoredSplit) -> Section:
    """The beats that it is most wrong about."""
    if not found.labelled:
        rows = found.normal_rows()[::-1][:WORST]
        caption = f"The {len(rows)} {found.name} with the highest scores, the highest first: worth a look by someone "
        caption += "who can tell whether they are normal."
        return Section("The most unusual beats", (), None, (_worst(model, found, rows, "worst", caption),))
    drawn, texts = [], []
    for name, rows, all_ in (
        ("false alarms", found.false_alarms, "normal beats, highest score first"),
        ("missed beats", found.missed, "abnormal beats, lowest score first"),
    ):
        shown = min(WORST, len(rows))
        if shown:
            caption = f"{shown} of {len(rows):,} {name}: {all_}."
            drawn.append(_worst(model, found, rows, name.replace(" ", "-"), caption))
        else:
            texts.append(f"There are no {name}.")
    return Section("The worst mistakes", tuple(texts), None, tuple(drawn))


def _worst(model: Model, found: ScoredSplit, rows: NDArray[np.int64], name: str, caption: str) -> PageFigure:
    lines = plots.in_lines(rows, WORST)
    listed = "; ".join(f"{found.kind(row)}, score {found.scores[row]:#.3g}" for line in lines for row in line)
    return PageFigure(name, plots.beats(model, found, lines, named=True), f"Beats: {listed}", caption)


def missing(model: Model, found: ScoredSplit) -> Section | None:
    """What a page without labels cannot show, said aloud."""
    if found.labelled:
        return None
    labels = (
        "No evaluation, ROC, precision and recall, sweep of thresholds or worst mistakes: they take labelled beats of "
        "both kinds that the model did not learn from. Give a file with a label in the last column (1 = normal, "
        "0 = abnormal)."
    )
    texts = [labels]
    if not model.manifest.threshold.confidence:
        texts.append("No calibration: the threshold's rule promises nothing that could be tried.")
    elif findings.promise(model, found) is None:
        texts.append(f"No calibration: {len(model.manifest.calibration):,} normal beats are too few to split in two.")
    return Section("What is missing here", tuple(texts))


def _ours(model: Model) -> Figures:
    evaluation = model.manifest.evaluation
    if evaluation is None:
        raise ValueError("a model that was not judged has no figures")
    return evaluation.rows[0]


def _share(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.2%}"
