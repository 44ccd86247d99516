"""The header of a record that says how noisy the lead was before its beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.json_numbers import read_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from monitor.records.record import Headers

NOISE_HEADER = "noise"
MAX_NOISE_BYTES = 16
MAX_NOISE = 50.0  # either sign: a log, so that no unit and no lead gives more


def noise_headers(noise: float) -> Headers:
    """The header for this noise, such as `-3.912`; none where it is not known (NaN)."""
    return () if math.isnan(noise) else ((NOISE_HEADER, f"{noise:.3f}".encode()),)


def noise_of(headers: Iterable[Headers]) -> NDArray[np.float32]:
    """The noise that n records say in their headers (n,); NaN where there is none, or none that can be read."""
    # written out for a record with this header alone: a call for each costs as much as all the rest
    texts = [
        one[0][1] if len(one) == 1 and one[0][0] == NOISE_HEADER else _last(one) if one else None for one in headers
    ]
    noise = np.full(len(texts), np.nan, np.float32)
    rows = [row for row, text in enumerate(texts) if text and len(text) <= MAX_NOISE_BYTES]
    noise[rows] = plausible_noise(_numbers([texts[row] or b"" for row in rows]))
    return noise


def plausible_noise(found: NDArray[np.float64]) -> NDArray[np.float32]:
    """These numbers (n,) as noise; NaN in place of what no lead has."""
    return np.where(np.abs(found) <= MAX_NOISE, found, np.nan).astype(np.float32)


def _last(headers: Headers) -> bytes | None:
    return next((value for name, value in reversed(headers) if name == NOISE_HEADER), None)


def _numbers(texts: Sequence[bytes]) -> NDArray[np.float64]:
    """The numbers in k texts (k,), NaN where a text is none: read together, and one by one where that fails."""
    whole = b"[" + b",".join(texts) + b"]"
    if whole.count(b"[") + whole.count(b"]") == 2:  # noqa: PLR2004 - no list inside the list, which would not show
        try:
            found = read_numbers(whole)
        except ValueError:
            pass
        else:
            if len(found) == len(texts):
                return found
    if len(texts) == 1:
        return np.full(1, np.nan)
    return np.concatenate([np.empty(0), *(_numbers([text]) for text in texts)])
