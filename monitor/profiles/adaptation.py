"""Templates follow their source slowly: after every 24 beats, those that fit pull the template and its spread.

Sums are kept in whole numbers, so that they are the same in any order. Measured on MIT-BIH 100 to 124,
docs/experiments.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.learning import FITS, FITS_CORRELATION, floored
from monitor.profiles.points import levelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.profiles.residual import Residuals

PULL, SPREAD_PULL = np.float32(0.15), np.float32(0.10)
LEAST_MATCHED = 6  # of the 24 beats; fewer say too little about a template
MOST_PREMATURITY = 1.5  # of a beat that pulls
STEPS, GAIN_STEPS = 256, 4096  # of a unit
LARGEST = 5  # units that one beat can add: 24 such beats still fit into 16 bits
NORMAL_SIZE = np.float32(1.2533)  # standard deviation over the mean size, of a normal distribution


def matches(found: Residuals, prematurity: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which beats (n,) may pull their template."""
    return (found.distance < FITS) & (prematurity < MOST_PREMATURITY) & (found.correlation > FITS_CORRELATION)


def add(templates: NDArray[np.void], rows: NDArray[np.int64], found: Residuals) -> None:
    """Add beats (n,) that match to the sums of their templates, whose rows (n,) may stand there more than once."""
    offsets, sizes = (_steps(part) for part in (found.rest, np.abs(found.smooth)))
    gains = np.rint((found.gain - 1) * GAIN_STEPS).astype(np.int32)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    if len(starts) == len(rows):
        sums = offsets[order], sizes[order], gains[order]
    else:
        sums = tuple(np.add.reduceat(part[order], starts, axis=0, dtype=part.dtype) for part in (offsets, sizes, gains))
    at = rows[starts]
    for name, part in zip(("offsets", "sizes", "gains"), sums, strict=True):
        templates[name][at] += part
    templates["matched"][at] += np.diff(starts, append=len(rows)).astype(np.int16)


def _steps(units: NDArray[np.float32]) -> NDArray[np.int16]:
    """Values (60, n) as whole numbers of steps (n, 60)."""
    bounded = np.minimum(np.maximum(units, -LARGEST), LARGEST)
    return np.ascontiguousarray(np.rint(bounded * STEPS).astype(np.int16).T)


def adapt(templates: NDArray[np.void], rows: NDArray[np.int64]) -> None:
    """Let templates (k,) follow the beats that matched them, and begin new sums."""
    some = templates[rows]
    matched = some["matched"].astype(np.float32)[:, None]
    enough = matched[:, 0] >= LEAST_MATCHED
    some, matched = some[enough], matched[enough]
    gain = some["gains"][:, None].astype(np.float32) / (matched * GAIN_STEPS)
    offset = some["offsets"] / (matched * STEPS)
    size = some["sizes"] / (matched * STEPS)
    typical, scale = some["typical"], some["scale"]
    pulled = typical + PULL * (scale[:, None] * offset + gain * typical)
    pulled = np.ascontiguousarray(levelled(np.ascontiguousarray(pulled.T)).T)
    ratio = np.sqrt(np.vecdot(pulled, pulled) / np.vecdot(typical, typical))
    adapted = rows[enough]
    templates["typical"][adapted] = pulled
    templates["scale"][adapted] = scale * ratio
    spread = some["spread"] + SPREAD_PULL * (NORMAL_SIZE * size - some["spread"])
    templates["spread"][adapted] = floored(spread.astype(np.float32))
    for name in ("matched", "gains", "offsets", "sizes"):
        templates[name][rows] = 0
