"""What the model reaches on beats that nothing was chosen by, beside two simple detectors under the same rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

from monitor.model.manifest import Evaluation, Figures
from monitor.model.normalise import normalise
from trainer.threshold import calibrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from monitor.model.manifest import ThresholdSpec
    from trainer.data.dataset import DatasetPart
    from trainer.threshold.calibrate import Budget

    Scoring = Callable[[NDArray[np.float32]], NDArray[np.float32]]

COMPONENTS = 4
AUTOENCODER = "autoencoder"


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector under its name, and the score above which it flags."""

    name: str
    score: Scoring
    threshold: float


def evaluate(
    split: str, ours: Scoring, threshold: float, train: DatasetPart, test: DatasetPart, budget: Budget
) -> Evaluation:
    """Figures of the model, of PCA and of the nearest neighbour on the test split, which is read here and only here."""
    rows = [figures(AUTOENCODER, ours(test.samples), test.abnormal, threshold)]
    rows += [
        figures(each.name, each.score(test.samples), test.abnormal, each.threshold)
        for each in simple(train.normal_samples, budget)
    ]
    abnormals = int(test.abnormal.sum())
    return Evaluation(split, len(test) - abnormals, abnormals, tuple(rows))


def simple(normals: NDArray[np.float32], budget: Budget) -> Iterator[Contender]:
    """PCA and the nearest neighbour, fitted on normal beats, each with a threshold by the budget."""
    for name, fit in ((f"PCA-{COMPONENTS}", pca), ("1-NN", nearest)):
        limit = calibrate.limit(calibrate.calibration(calibrate.cross_fit(normals, fit, seed=0)), budget)
        yield Contender(name, fit(normals), limit.value)


def figures(detector: str, scores: NDArray[np.float32], abnormal: NDArray[np.bool_], threshold: float) -> Figures:
    """Figures from scores (n,) and labels (n,) that hold both kinds; abnormal is the positive class."""
    flagged = scores > np.float32(threshold)
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


def pca(normals: NDArray[np.float32]) -> Scoring:
    """Mean squared residual of the principal components of normal beats."""
    fitted = PCA(COMPONENTS, svd_solver="full").fit(_shapes(normals))

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        shapes = _shapes(samples)
        made = fitted.inverse_transform(fitted.transform(shapes))
        return np.asarray(np.square(shapes - made).mean(axis=1), np.float32)

    return score


def nearest(normals: NDArray[np.float32]) -> Scoring:
    """Euclidean distance to the nearest normal beat."""
    fitted = NearestNeighbors(n_neighbors=1).fit(_shapes(normals))

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(fitted.kneighbors(_shapes(samples))[0][:, 0], np.float32)

    return score


def thresholds(ours: ThresholdSpec) -> str:
    """Where the thresholds of such figures come from."""
    if ours.confidence:
        return "at thresholds by one rule on training beats"
    return f"at thresholds by training beats: ours by {ours.rule}, the others by a false-alarm budget"


def table(evaluation: Evaluation) -> str:
    """The figures for people."""
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
    """The share of abnormal beats found by the lowest threshold that flags at most `rate` of the normal ones."""
    false, true, _ = roc_curve(abnormal, scores, drop_intermediate=False)
    return float(true[false <= rate].max())


def _shapes(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    shapes: NDArray[np.float32] = normalise(torch.from_numpy(samples), pool=1).pooled.numpy()
    return shapes
