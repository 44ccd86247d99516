"""Whether the beats that were found in a recording can be those of an ECG in mV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_MV, MOST_MV = 0.02, 20.0  # heights of R
COUNTED = 1000  # beats, so that memory use does not grow with the recording
NO_BEATS = "look at the lead (--lead), the unit (--unit) and the rate (--hz)"


class BeatHeights:
    """The heights of R in the first beats of a recording."""

    def __init__(self) -> None:
        self._heights: list[float] = []

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the heights of beats (n, 140), or of one (140,)."""
        missing = COUNTED - len(self._heights)
        if missing > 0:
            heights = np.abs(np.atleast_2d(samples)[:missing]).max(axis=1)
            self._heights += heights[np.isfinite(heights)].tolist()

    def warning(self) -> str | None:
        """A sentence if half of the beats are too low or too high for an ECG in mV."""
        if not self._heights or LEAST_MV <= (height := float(np.median(self._heights))) <= MOST_MV:
            return None
        return (
            f"warning: the median height of R is {height:.4g} mV, where {LEAST_MV:g} to {MOST_MV:g} mV are expected "
            "of an ECG: look at the unit (--unit) and the lead (--lead)"
        )
