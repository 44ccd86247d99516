"""The figures of one detector on labelled beats, from its scores and its threshold. Abnormal is the positive class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from monitor.model.manifest import Figures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.model.manifest import Evaluation


def figures(
    detector: str,
    scores: NDArray[np.float32],
    abnormal: NDArray[np.bool_],
    threshold: float,
    flagged: NDArray[np.bool_] | None = None,
) -> Figures:
    """The figures of a detector from scores (n,) and labels (n,). Both kinds of beats must occur.

    `flagged`: the beats above a threshold, if it is not the same for all beats.
    """
    flagged = scores > np.float32(threshold) if flagged is None else flagged
    right = int((flagged & abnormal).sum())
    return Figures(
        detector=detector,
        auc=float(roc_auc_score(abnormal, scores)),
        average_precision=float(average_precision_score(abnormal, scores)),
        tpr_at_1_percent_fpr=_tpr(scores, abnormal, 0.01),
        tpr_at_5_percent_fpr=_tpr(scores, abnormal, 0.05),
        accuracy=float((flagged == abnormal).mean()),
        precision=right / int(flagged.sum()) if flagged.any() else None,
        recall=right / int(abnormal.sum()),
        false_positive_rate=float(flagged[~abnormal].mean()),
        threshold=threshold,
    )


def table(evaluation: Evaluation) -> str:
    """The figures of all detectors as a table for the terminal; a dash stands for a figure that is undefined."""
    heads = ("detector", "AUC", "AP", "TPR@1%", "TPR@5%", "accuracy", "precision", "recall", "FPR")
    lines = [f"{heads[0]:<12}" + "".join(f"{head:>10}" for head in heads[1:])]
    for row in evaluation.rows:
        values = (
            row.auc, row.average_precision, row.tpr_at_1_percent_fpr, row.tpr_at_5_percent_fpr,
            row.accuracy, row.precision, row.recall, row.false_positive_rate,
        )  # fmt: skip
        lines.append(f"{row.detector:<12}" + "".join("         -" if x is None else f"{x:>10.4f}" for x in values))
    return "\n".join(lines)


def _tpr(scores: NDArray[np.float32], abnormal: NDArray[np.bool_], rate: float) -> float:
    """The share of abnormal beats above the lowest threshold that flags at most `rate` of the normal ones."""
    false, true, _ = roc_curve(abnormal, scores, drop_intermediate=False)
    return float(true[false <= rate].max())
