"""Doubts about beats that are called normal: labels the other way round, and two kinds of beats without labels.

They are questions for a person, and never a reason to refuse a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import numpy as np

from monitor.model import fit, normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.beats.window import Window
    from trainer.data.datasets import DatasetPart

MOST_BEATS = 2000  # that are looked at, evenly spaced
LEAST_BEATS = 10  # of a kind, or nothing is said
TIGHTER = 0.9  # of the spread of normal beats: ECG5000 has 1.21, with labels the other way round 0.83
# Two groups: how far their centres are apart, in standard deviations of a beat, and how wide the gap between the inner
# tenths of both is, as a share of that. Normal beats of ECG5000: 0.48 and 0.21, of eight MIT-BIH records at most 0.33
# apart; with 10 % abnormal beats of ECG5000 among them: 0.75 and 0.24; records 106, 119 and 208 with theirs: over 0.98.
LEAST_DISTANCE, LEAST_GAP = 0.6, 0.22
STEPS = 50  # of k-means, at most
LOW_RECALL = 0.5  # below: a warning


def doubt(part: DatasetPart) -> str:
    """A warning about the labels of a training part, or about its lack of labels; empty if there is none.

    No beat may be flat or saturated.
    """
    normals, abnormals = part.normal_samples, part.samples[part.abnormal]
    if len(abnormals) >= LEAST_BEATS and len(normals) >= LEAST_BEATS:
        return _on_labels(_spread(normals), _spread(abnormals))
    return "" if part.abnormal.any() else _on_groups(normals)


def warn_of_recall(recall: float) -> None:
    """Print a warning if few of the beats labelled abnormal are found."""
    if recall < LOW_RECALL:
        click.echo(
            f"warning: only {recall:.1%} of the beats labelled abnormal are found. Are the labels the other way round? "
            "1 is taken as normal; --normal-label names another label. If not, this model is of little use",
            err=True,
        )


def warn_of_misfit(share: float, window: Window) -> None:
    """Print a warning if most of the beats labelled normal are flagged. `window` is that of the model."""
    if fit.is_misfit(share):
        click.echo(
            f"warning: {share:.1%} of the beats labelled normal are flagged: "
            f"{fit.unknown_beats(window, labelled=True)}. Train on such beats",
            err=True,
        )


def _on_labels(normal: float, abnormal: float) -> str:
    """The warning if the abnormal beats have a clearly smaller spread than the normal ones."""
    if abnormal >= TIGHTER * normal:
        return ""
    return (
        f"warning: the beats labelled abnormal are more alike ({abnormal:.2f}) than those labelled normal "
        f"({normal:.2f}). Are the labels the other way round? --normal-label names the label that means normal"
    )


def _on_groups(samples: NDArray[np.float32]) -> str:
    """The warning if beats (n, 140) without labels fall into two groups that lie apart."""
    if len(samples) < 2 * LEAST_BEATS:
        return ""
    shapes = _shapes(samples)
    is_second = _second_group(shapes)
    share = float(is_second.mean())
    centres = shapes[~is_second].mean(axis=0), shapes[is_second].mean(axis=0)
    along = centres[1] - centres[0]
    distance = float(np.sqrt(np.square(along).mean()))
    if distance < LEAST_DISTANCE or min(share, 1 - share) * len(shapes) < 2:  # noqa: PLR2004  # one beat is no group
        return ""
    place = (shapes @ along) / float(along @ along)
    gap = float(np.quantile(place[is_second], 0.1) - np.quantile(place[~is_second], 0.9))
    if gap < LEAST_GAP:
        return ""
    return (
        f"warning: the beats taken as normal fall into two groups, of {1 - share:.0%} and {share:.0%}. If the smaller "
        "group is not normal, take it out of the file or label it; --report shows the most unusual beats"
    )


def _second_group(shapes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The smaller of two groups of shapes (n, m), by k-means that begins along the direction of most variation."""
    _, _, directions = np.linalg.svd(shapes - shapes.mean(axis=0), full_matrices=False)
    along = shapes @ directions[0]
    is_second = np.abs(along - np.median(along)) > 2 * np.abs(along - np.median(along)).mean()
    if not is_second.any() or is_second.all():
        is_second = along > np.median(along)
    for _ in range(STEPS):
        first, second = shapes[~is_second].mean(axis=0), shapes[is_second].mean(axis=0)
        again = np.square(shapes - second).sum(axis=1) < np.square(shapes - first).sum(axis=1)
        if (again == is_second).all() or not again.any() or again.all():
            break
        is_second = again
    return np.asarray(is_second if is_second.mean() <= 0.5 else ~is_second)  # noqa: PLR2004  # half


def _spread(samples: NDArray[np.float32]) -> float:
    """The median distance of beats from their median beat, in standard deviations of a beat."""
    shapes = _shapes(samples)
    return float(np.median(np.sqrt(np.square(shapes - np.median(shapes, axis=0)).mean(axis=1))))


def _shapes(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    rows = np.linspace(0, len(samples) - 1, min(len(samples), MOST_BEATS)).astype(np.int64)
    return normalise.shapes(samples[rows], pool=1).astype(np.float64)
