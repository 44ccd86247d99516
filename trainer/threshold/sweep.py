"""The sweep: precision, recall and false alarms for every possible threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.threshold.false_alarms import BEATS_PER_HOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE_ROWS = 20
LEAST_RATE = 0.001  # the table does not show differences between errors that are rarer than this


@dataclass(frozen=True, slots=True)
class Row:
    """One threshold and its figures. Abnormal is the positive class; beats with a higher score are flagged."""

    threshold: float
    precision: float
    recall: float
    f1: float
    false_positive_rate: float
    flags_per_hour: float  # wrongly flagged beats, if all beats are normal and there are 75 in a minute


def sweep(scores: NDArray[np.float32], abnormal: NDArray[np.bool_]) -> list[Row]:
    """One row for each distinct score as the threshold, ascending. In the labels (n,) both kinds must occur."""
    thresholds = np.unique(scores)[:-1]  # at the highest score nothing would be flagged
    normals, positives = np.sort(scores[~abnormal]), np.sort(scores[abnormal])
    false = len(normals) - np.searchsorted(normals, thresholds, side="right")
    true = len(positives) - np.searchsorted(positives, thresholds, side="right")
    columns = (
        thresholds,
        true / (true + false),
        true / len(positives),
        2 * true / (true + false + len(positives)),
        false / len(normals),
        false / len(normals) * BEATS_PER_HOUR,
    )
    return [Row(*row) for row in np.column_stack(columns).tolist()]


def table(rows: list[Row]) -> str:
    """A table of about TABLE_ROWS of the rows.

    They are evenly spaced along the logarithms of the share of missed beats and of the false-positive rate. So most of
    them lie where both errors are small, which is where thresholds are chosen.
    """
    errors = np.log([(1 - row.recall + LEAST_RATE, row.false_positive_rate + LEAST_RATE) for row in rows])
    place = np.append(0, np.abs(np.diff(errors, axis=0)).sum(axis=1).cumsum())
    chosen = np.unique(np.searchsorted(place, np.linspace(0, place[-1], TABLE_ROWS)).clip(0, len(rows) - 1))
    heads = ("threshold", "precision", "recall", "F1", "FPR", "false flags/h")
    lines = ["".join(f"{head:>14}" for head in heads)]
    for row in (rows[index] for index in chosen):
        values = f"{row.precision:>14.4f}{row.recall:>14.4f}{row.f1:>14.4f}{row.false_positive_rate:>14.4f}"
        lines.append(f"{row.threshold:>14.5g}{values}{row.flags_per_hour:>14.1f}")
    return "\n".join(lines)
