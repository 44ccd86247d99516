"""Scores → verdicts: how unusual a beat is among the model's normal ones, and whether that is abnormal. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.model import Manifest


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Columns of n beats. A beat without a score is neither normal nor abnormal: False with a NaN p-value."""

    abnormal: NDArray[np.bool_]
    p_value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score above which a beat is abnormal; `version` is None for the model's own or the setting's."""

    value: float
    version: int | None
    calibration: NDArray[np.float64]  # scores of normal beats, ascending

    @classmethod
    def from_manifest(cls, manifest: Manifest, override: float | None = None) -> Threshold:
        """The model's threshold, or the setting that overrides it."""
        value = manifest.threshold.value if override is None else override
        return cls(value, None, np.array(manifest.calibration, np.float64))

    def judge(self, score: NDArray[np.float32]) -> Verdicts:
        """Verdicts on scores (n,). p is conformal: (1 + calibration scores at or above the score) / (1 + all)."""
        at_or_above = len(self.calibration) - np.searchsorted(self.calibration, score, side="left")
        p_value = (1 + at_or_above) / (1 + len(self.calibration))
        p_value[np.isnan(score)] = np.nan
        return Verdicts(score > self.value, p_value)
