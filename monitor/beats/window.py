"""The window of a beat: which piece of the signal its samples are. Beats of different windows cannot be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SECONDS = 1.0  # on either side of R: a beat must come out within 3 s


@dataclass(frozen=True, slots=True)
class Window:
    """How a beat is cut from the signal.

    `r-to-r` begins at one R peak and ends at the next one; this piece is stretched to SAMPLES samples, and the seconds
    are 0. `r-centred` is SAMPLES samples in equal steps, the first `before_seconds` before the R peak, the last
    `after_seconds` after it. Raises RefusedError for values out of range.
    """

    kind: Literal["r-to-r", "r-centred"]
    before_seconds: float = 0.0
    after_seconds: float = 0.0

    def __post_init__(self) -> None:
        sides = self.before_seconds, self.after_seconds
        if self.kind == "r-to-r":
            if sides != (0, 0):
                raise RefusedError("a window from R to R has no seconds before and after R")
        elif self.kind != "r-centred":
            raise RefusedError(f"window.kind is {self.kind!r:.40}, where r-to-r and r-centred are known")
        elif not all(0 < seconds <= MAX_SECONDS for seconds in sides):
            shown = " and ".join(f"{seconds:g}" for seconds in sides)
            raise RefusedError(f"the window has {shown} s before and after R, where 0 to {MAX_SECONDS:g} are possible")

    def __str__(self) -> str:
        if self.kind == "r-to-r":
            return f"from R to R, stretched to {SAMPLES} samples"
        return f"{SAMPLES} samples, from {self.before_seconds:g} s before R to {self.after_seconds:g} s after it"

    @property
    def seconds_from_r(self) -> NDArray[np.float64]:
        """Where the samples (140,) of an r-centred window lie: seconds after R, negative before it."""
        return np.linspace(-self.before_seconds, self.after_seconds, SAMPLES)


R_TO_R = Window("r-to-r")  # ECG5000
R_CENTRED = Window("r-centred", 0.248, 0.408)  # 0.2 and 0.36 s for scoring, and 48 ms on either side for realignment
