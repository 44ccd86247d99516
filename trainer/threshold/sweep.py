"""What a threshold costs and finds: precision against recall over every threshold, and what it means at the bedside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEATS_PER_HOUR = 75 * 60
OPEN, WINDOW, CLOSE = 3, 5, 5  # the monitor's default rule for episodes
TABLE_ROWS = 20
LEAST_RATE = 0.001  # errors rarer than this are told apart no further


@dataclass(frozen=True, slots=True)
class Row:
    """One threshold; abnormal is the positive class. A score above it is flagged."""

    threshold: float
    precision: float
    recall: float
    f1: float
    false_positive_rate: float
    flags_per_hour: float  # false ones, at 75 beats a minute that are all normal


def sweep(scores: NDArray[np.float32], abnormal: NDArray[np.bool_]) -> list[Row]:
    """A row for each distinct score as the threshold, ascending; labels (n,) must hold both kinds."""
    thresholds = np.unique(scores)[:-1]  # at the highest nothing is flagged
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
    """Some of the rows for people, evenly spaced in the logarithms of missed beats and false alarms together."""
    errors = np.log([(1 - row.recall + LEAST_RATE, row.false_positive_rate + LEAST_RATE) for row in rows])
    place = np.append(0, np.abs(np.diff(errors, axis=0)).sum(axis=1).cumsum())
    chosen = np.unique(np.searchsorted(place, np.linspace(0, place[-1], TABLE_ROWS)).clip(0, len(rows) - 1))
    heads = ("threshold", "precision", "recall", "F1", "FPR", "false flags/h")
    lines = ["".join(f"{head:>14}" for head in heads)]
    for row in (rows[index] for index in chosen):
        values = f"{row.precision:>14.4f}{row.recall:>14.4f}{row.f1:>14.4f}{row.false_positive_rate:>14.4f}"
        lines.append(f"{row.threshold:>14.5g}{values}{row.flags_per_hour:>14.1f}")
    return "\n".join(lines)


def episodes_per_hour(rate: float) -> float:
    """False episodes of one source in an hour, when each normal beat is flagged with this probability on its own.

    3 of the last 5 open one, 5 unflagged in a row close it. Real errors cluster, so real episodes are other in number.
    """
    if not 0 < rate < 1:
        return 0.0
    open_beats = ((1 - rate) ** -CLOSE - 1) / rate
    return float(BEATS_PER_HOUR / (_beats_to_open(rate) + open_beats))


def bedside(rate: float) -> str:
    """One sentence about a share of normal beats that is flagged."""
    return (
        f"at 75 beats a minute {rate:.2%} of normal beats are {rate * BEATS_PER_HOUR:.0f} false flags and "
        f"{episodes_per_hour(rate):.2g} false episodes ({OPEN} of {WINDOW}) per source-hour, were errors independent"
    )


def _beats_to_open(rate: float) -> float:
    """Expected beats from a quiet start, over the states that the last WINDOW - 1 beats can be in."""
    states = 2 ** (WINDOW - 1)
    step = np.zeros((states, states))
    for state in range(states):
        for flag, chance in ((0, 1 - rate), (1, rate)):
            recent = 2 * state + flag
            if recent.bit_count() < OPEN:
                step[state, recent % states] += chance
    return float(np.linalg.solve(np.eye(states) - step, np.ones(states))[0])
