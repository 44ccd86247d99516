"""Beats with their verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from monitor.beats.beat import Beats


@dataclass(frozen=True, slots=True)
class JudgedBeats:
    """n beats with the verdict on each, as columns (n,)."""

    beats: Beats
    score: NDArray[np.float32]  # NaN where the beat could not be scored
    p_value: NDArray[np.float64]
    threshold: NDArray[np.float64]  # the one that each score was compared with
    abnormal: NDArray[np.bool_]
    cause: tuple[str, ...]  # names of the values of `cause_code`, 0 = scored
    cause_code: NDArray[np.int8]
    personal: NDArray[np.float32]  # score against the source's own profile; NaN where there is none
    decided_personally: NDArray[np.bool_]  # whether that score decides, and not `abnormal`
