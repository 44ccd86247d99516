"""Templates follow their source slowly: after every 24 beats, those that fit pull the template and its spread.

Sums are kept in whole numbers, so that they are the same in any order. Measured on MIT-BIH 100 to 124,
docs/experiments.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import SUMS, RowTable
from monitor.profiles.learning import FITS, FITS_CORRELATION, floored
from monitor.profiles.points import POINTS, levelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.residual import Residuals

PULL, SPREAD_PULL = np.float32(0.15), np.float32(0.10)
LEAST_MATCHED = 6  # of the 24 beats; fewer say too little about a template
MOST_PREMATURITY = 1.5  # of a beat that pulls
STEPS, GAIN_STEPS = 256, 1024  # of a unit
LARGEST = np.float32(5 * STEPS)  # that one beat can add: 24 such beats still fit into 16 bits
NORMAL_SIZE = np.float32(1.2533)  # standard deviation over the mean size, of a normal distribution
# The sums: of the residual, of the size of the smoothed residual, of the gain - 1; and the number of beats.
OFFSETS, SIZES, GAIN, MATCHED = slice(0, POINTS), slice(POINTS, 2 * POINTS), 2 * POINTS, 2 * POINTS + 1


def matches(found: Residuals, prematurity: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which beats (n,) may pull their template."""
    return (found.distance < FITS) & (prematurity < MOST_PREMATURITY) & (found.correlation > FITS_CORRELATION)


def add_matches(
    templates: NDArray[np.void], rows: NDArray[np.int64], found: Residuals, matched: NDArray[np.bool_]
) -> None:
    """Add the beats (n,) that matched to the sums of their templates. A row may stand in `rows` (n,) more than once."""
    parts = np.empty((SUMS, len(rows)), np.float32)
    counts = matched.astype(np.float32)
    np.multiply(found.rest, counts * np.float32(STEPS), out=parts[OFFSETS])
    np.multiply(found.smooth, counts * np.float32(STEPS), out=parts[SIZES])
    np.abs(parts[SIZES], out=parts[SIZES])
    parts[GAIN] = (found.gain - 1) * (counts * np.float32(GAIN_STEPS))
    parts[MATCHED] = counts
    np.clip(parts, -LARGEST, LARGEST, out=parts)
    np.rint(parts, out=parts)
    sums = parts.T.astype(np.int16, order="C")
    if (np.diff(rows) <= 0).any() and not np.diff(np.sort(rows)).all():  # a row stands there more than once
        order = np.argsort(rows, kind="stable")
        rows, sums = rows[order], sums[order]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        rows, sums = rows[starts], np.add.reduceat(sums, starts, axis=0, dtype=np.int16)
    templates["sums"][rows] += sums


def adapt(table: RowTable, rows: NDArray[np.int64]) -> None:
    """Let templates (k,) follow the beats that matched them, and begin new sums."""
    templates = table.read(rows)
    sums = templates["sums"].copy()
    templates["sums"] = 0
    enough = np.flatnonzero(sums[:, MATCHED] >= LEAST_MATCHED)
    some, sums = templates[enough], sums[enough].astype(np.float32)
    matched = sums[:, MATCHED, None]
    offset, size = sums[:, OFFSETS] / (matched * STEPS), sums[:, SIZES] / (matched * STEPS)
    gain = sums[:, GAIN, None] / (matched * GAIN_STEPS)
    typical, scale = some["typical"], some["scale"]
    pulled = typical + PULL * (scale[:, None] * offset + gain * typical)
    pulled = np.ascontiguousarray(levelled(np.ascontiguousarray(pulled.T)).T)
    some["scale"] = scale * np.sqrt(np.vecdot(pulled, pulled) / np.vecdot(typical, typical))
    some["typical"] = pulled
    spread = some["spread"] + SPREAD_PULL * (NORMAL_SIZE * size - some["spread"])
    some["spread"] = floored(spread.astype(np.float32))
    templates[enough] = some
    table.write(rows, templates)
