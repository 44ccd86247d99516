"""How long and how fast a recording may be. What a header says beyond these is taken for damage."""

from __future__ import annotations

import math
from numbers import Real
from pathlib import Path

from monitor.errors import RecordingError

MIN_HZ, MAX_HZ = 1.0, 100_000.0
MAX_SECONDS = 400 * 86_400.0
MAX_GAP_SECONDS = 3600.0  # between two rows of a table; a longer one is taken for a wrong time


def number(given: object) -> float:
    """A number of any type as a float: infinity if it is too large for one. NaN for anything else."""
    try:
        return float(given) if isinstance(given, Real) else math.nan
    except OverflowError:
        return math.inf


def check_rate(path: Path, lead: str, hz: float) -> None:
    """Raises RecordingError for a rate that no ECG has; NaN is none."""
    if not MIN_HZ <= hz <= MAX_HZ:
        raise RecordingError(
            f"{path}: lead {lead!r} has {hz:g} samples a second, where {MIN_HZ:g} to {MAX_HZ:,.0f} are expected"
        )


def check_length(path: Path, lead: str, seconds: float) -> None:
    """Raises RecordingError for a length that no recording has."""
    if not 0 < seconds <= MAX_SECONDS:
        raise RecordingError(
            f"{path}: lead {lead!r} lasts {seconds:,.0f} s, where more than 0 and up to {MAX_SECONDS:,.0f} are expected"
        )
