"""Units of voltage."""

from __future__ import annotations

import math

MV_IN = {"nv": 1e-6, "uv": 1e-3, "\u03bcv": 1e-3, "mv": 1.0, "v": 1e3}  # casefold() makes the micro sign a mu
COUNTS = "adc/"
EXPECTED_UNITS = "uV, mV, V, nV, or adc/N for N counts to the mV"


def mv_in(unit: str) -> float | None:
    """The factor from a unit to mV; the case of its letters does not matter. None for what is no voltage.

    `adc/200` means counts of an analogue-to-digital converter, 200 of which are 1 mV.
    """
    name = unit.strip().casefold()
    if not name.startswith(COUNTS):
        return MV_IN.get(name)
    counts = counts_per_mv(name)
    return None if counts is None else 1 / counts


def counts_per_mv(unit: str) -> float | None:
    """The N of `adc/N`; None for other units."""
    head, _, number = unit.strip().casefold().partition("/")
    try:
        counts = float(number) if head == "adc" else math.nan
    except ValueError:
        return None
    return counts if math.isfinite(counts) and counts != 0 else None
