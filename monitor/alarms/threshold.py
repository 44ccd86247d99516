"""Scores → verdicts: how unusual a beat is among the model's normal ones, and whether that is abnormal. Pure.

What a beat is held against: its source's own threshold, else the one for all sources (`*`), both from `ecg.control`;
else the setting, else the model's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms import control_message
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.control_message import ControlRequest, ThresholdCommand
    from monitor.model.manifest import Manifest
    from monitor.records.record import ControlRecord

MAX_SOURCES = 100_000  # with a threshold of their own: whoever may write there must not fill our memory


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Columns of n beats. A beat without a score is neither normal nor abnormal: False with a NaN p-value."""

    abnormal: NDArray[np.bool_]
    p_value: NDArray[np.float64]
    threshold: NDArray[np.float64]  # what each score was held against


@dataclass(frozen=True, slots=True)
class ActiveThreshold:
    """The score above which a beat is abnormal; `version` is None for the model's own or the setting's."""

    value: float
    version: int | None
    by: str = ""  # who set it, as far as that is told


class Thresholds:
    """Every threshold in force; `ecg.control` changes them while beats are judged."""

    def __init__(self, base: ActiveThreshold, calibration: NDArray[np.float64]) -> None:
        """`base` holds where the control topic says nothing; `calibration` are scores of normal beats, ascending."""
        self._base = base
        self._calibration = calibration
        self._levels: dict[bytes, ActiveThreshold] = {}  # by source, and `*`
        self._own: dict[bytes, float] = {}  # the same values without `*`, ready for a look-up of a whole column
        self._taken_back: dict[bytes, int] = {}  # offset of the null, the longest known first

    @classmethod
    def from_manifest(cls, manifest: Manifest, override: float | None = None) -> Thresholds:
        """The model's threshold, or the setting that overrides it."""
        value = manifest.threshold.value if override is None else override
        return cls(ActiveThreshold(value, None), np.array(manifest.calibration, np.float64))

    @property
    def for_all(self) -> ActiveThreshold:
        """For every source without a threshold of its own."""
        return self._levels.get(control_message.ALL, self._base)

    @property
    def value(self) -> float:
        return self.for_all.value

    @property
    def version(self) -> int | None:
        return self.for_all.version

    @property
    def own_count(self) -> int:
        """Sources with a threshold of their own."""
        return len(self._own)

    @property
    def expected_abnormal(self) -> float:
        """Share of normal beats above the threshold for all sources, as far as calibration can tell."""
        n = len(self._calibration)
        return (1 + n - int(np.searchsorted(self._calibration, self.for_all.value, side="right"))) / (1 + n)

    def of(self, source: bytes) -> ActiveThreshold:
        """What the beats of one source are held against."""
        return self._levels[source] if source in self._own else self.for_all

    def judge(self, source: NDArray[np.object_], score: NDArray[np.float32]) -> Verdicts:
        """Verdicts on scores (n,). p is conformal: (1 + calibration scores at or above the score) / (1 + all)."""
        at_or_above = len(self._calibration) - np.searchsorted(self._calibration, score, side="left")
        p_value = (1 + at_or_above) / (1 + len(self._calibration))
        p_value[np.isnan(score)] = np.nan
        threshold = self._column(source)
        return Verdicts(score > threshold, p_value, threshold)  # both as doubles, as where p-values are counted

    def _column(self, source: NDArray[np.object_]) -> NDArray[np.float64]:
        if not self._own:
            return np.broadcast_to(np.float64(self.value), len(source))
        return np.fromiter(map(self._own.get, source.tolist(), repeat(self.value)), np.float64, len(source))

    def change(self, change: ControlRecord) -> str:
        """Follow one record of the control topic; empty, or a sentence on why it is ignored.

        What is ignored takes nothing away: the threshold before it still holds. A record that is older than what is
        known of its source, as one that is read again, changes nothing.
        """
        try:
            request = control_message.read(change)
            if request is not None and change.offset > self._known(request.source):
                self._follow(request, change.offset)
        except RefusedError as error:
            return control_message.complaint(
                change, error, names_source=False
            )  # for a log, where nobody's name belongs
        return ""

    def _known(self, source: bytes) -> int:
        level = self._levels.get(source)
        return self._taken_back.get(source, -1) if level is None or level.version is None else level.version

    def _follow(self, request: ControlRequest, offset: int) -> None:
        source = request.source
        if request.order is None:
            self._levels.pop(source, None)
            self._own.pop(source, None)
            self._taken_back[source] = offset
            if len(self._taken_back) > MAX_SOURCES:
                del self._taken_back[next(iter(self._taken_back))]
            return
        if source != control_message.ALL and source not in self._own and len(self._own) >= MAX_SOURCES:
            raise RefusedError(f"{MAX_SOURCES} sources have a threshold of their own, and no more can be kept")
        level = ActiveThreshold(threshold_of(request.order, self._calibration), offset, request.order.by)
        self._levels[source] = level
        self._taken_back.pop(source, None)
        if source != control_message.ALL:
            self._own[source] = level.value


def threshold_of(order: ThresholdCommand, calibration: NDArray[np.float64]) -> float:
    """The threshold that an order comes to with these scores (n,) of normal beats, ascending.

    Of a rate: score > threshold exactly where p <= rate. p = (1 + k) / (n + 1) with k calibration scores at or above
    the score, so with m the largest number that keeps m / (n + 1) <= rate, a score is flagged while k < m: while it
    lies above the m-th largest calibration score. A score that equals that one has k >= m, ties or not: not flagged.

    Raises RefusedError for a rate below the least p, 1 / (n + 1).
    """
    if order.measure == "threshold":
        return order.amount
    n = len(calibration)
    p_values = np.arange(1, n + 1) / (n + 1)  # divided as in `judge`, so that rounding cannot part the two
    flagged = int(np.searchsorted(p_values, order.amount, side="right"))
    if flagged == 0:
        raise RefusedError(
            f"a false-alarm rate of {order.amount:g} is finer than the model's {n} normal beats can support: "
            f"1/{n + 1} is the finest"
        )
    return float(calibration[n - flagged])
