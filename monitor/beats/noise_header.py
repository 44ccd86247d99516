"""The header of a record that says how noisy the lead was before its beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.records.record import Headers

NOISE_HEADER = "noise"


def noise_headers(noise: float) -> Headers:
    """The header for this noise, such as `-3.912`; none where it is not known (NaN)."""
    return () if math.isnan(noise) else ((NOISE_HEADER, f"{noise:.3f}".encode()),)
