"""The score of beats of sources that have a profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import RowTable
from monitor.profiles.residual import Residuals, compare

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_DISTANCE, MOST_DISTANCE = np.float32(-2), np.float32(6)
PREMATURITY_WEIGHT, MOST_PREMATURITY = np.float32(0.2), np.float32(3)
NOISE_WEIGHT, USUAL_NOISE, MOST_NOISE = np.float32(0.5), np.float32(0.3), np.float32(2)


@dataclass(frozen=True, slots=True)
class Nearest:
    """n beats held against the templates of their sources."""

    number: NDArray[np.int8]  # (n,), of the nearest template
    row: NDArray[np.int64]  # (n,), of it
    found: Residuals  # against it


def nearest(samples: NDArray[np.float32], sources: NDArray[np.void], templates: RowTable) -> Nearest:
    """The nearest template of each beat (n, 140). `sources` (n,): the records of their sources."""
    row = sources["templates"][:, 0].astype(np.int64)
    found = compare(samples, templates.read(row))
    number = np.zeros(len(samples), np.int8)
    most = int(sources["template_count"].max())
    for further in range(1, most):
        some = np.flatnonzero(sources["template_count"] > further)
        rows = sources["templates"][some, further].astype(np.int64)
        others = compare(samples[some], templates.read(rows))
        is_nearer = others.distance < found.distance[some]
        beats = some[is_nearer]
        number[beats], row[beats] = further, rows[is_nearer]
        found.replace(beats, others.select(is_nearer))
    return Nearest(number, row, found)


def score(
    qrs_distance: NDArray[np.float32], prematurity: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How little a beat is like its source, (n,). Measured on MIT-BIH 100 to 124, docs/experiments.md."""
    total = np.minimum(np.maximum(qrs_distance, LEAST_DISTANCE), MOST_DISTANCE)
    total = total + PREMATURITY_WEIGHT * np.minimum(np.maximum(prematurity, 0), MOST_PREMATURITY)
    total -= NOISE_WEIGHT * np.minimum(np.maximum(noise - USUAL_NOISE, 0), MOST_NOISE)
    return total.astype(np.float32)
