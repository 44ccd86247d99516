"""Turns scores into verdicts: how rare the score is among normal beats, and whether the beat is abnormal. No I/O.

A score is compared with the first of these that is set: its source's own threshold and the one for all sources (`*`),
both from `ecg.control`; the setting MONITOR_THRESHOLD; the model's threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms import control_message
from monitor.alarms.control_message import ControlRequest
from monitor.alarms.pauses import ALL
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.control_message import ThresholdCommand
    from monitor.model.manifest import Manifest
    from monitor.records.record import ControlRecord

MAX_SOURCES = 100_000  # with a threshold of their own; a limit, so that control messages cannot fill the memory


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts on n beats, as columns (n,). A beat without a score is not abnormal, and its p-value is NaN."""

    abnormal: NDArray[np.bool_]
    p_value: NDArray[np.float64]
    threshold: NDArray[np.float64]  # the one that each score was compared with


@dataclass(frozen=True, slots=True)
class ActiveThreshold:
    """A score above `value` is abnormal."""

    value: float
    version: int | None  # offset of the control record that set it; None for the setting's or the model's
    by: str = ""  # who set it, where the control record names a person


class Thresholds:
    """The active thresholds of all sources. Control records change them while beats are judged."""

    def __init__(self, base: ActiveThreshold, calibration: NDArray[np.float64]) -> None:
        """`base` is active where no control record sets a threshold.

        `calibration` (n,) are scores of normal beats, ascending: p-values and false-alarm rates are computed from them.
        """
        self._base = base
        self._calibration = calibration
        self._active: dict[bytes, ActiveThreshold] = {}  # by source, and `*`
        self._own_values: dict[bytes, float] = {}  # the same values without `*`, to look up a whole column at once
        self._cleared: dict[bytes, int] = {}  # sources whose threshold was removed: offset of that record, oldest first

    @classmethod
    def from_manifest(cls, manifest: Manifest, override: float | None = None) -> Thresholds:
        """Build it with the model's threshold as the base, or with `override`, the setting, in its place."""
        value = manifest.threshold.value if override is None else override
        return cls(ActiveThreshold(value, None), np.array(manifest.calibration, np.float64))

    @property
    def for_all(self) -> ActiveThreshold:
        """The active threshold of all sources that have none of their own."""
        return self._active.get(ALL, self._base)

    @property
    def value(self) -> float:
        """The value of `for_all`."""
        return self.for_all.value

    @property
    def version(self) -> int | None:
        """The version of `for_all`."""
        return self.for_all.version

    @property
    def own_count(self) -> int:
        """The number of sources with a threshold of their own."""
        return len(self._own_values)

    @property
    def expected_abnormal(self) -> float:
        """The share of normal beats (0 to 1) expected above the threshold for all sources: its conformal p-value."""
        n = len(self._calibration)
        return (1 + n - int(np.searchsorted(self._calibration, self.for_all.value, side="right"))) / (1 + n)

    def for_source(self, source: bytes) -> ActiveThreshold:
        """The active threshold of this source: its own, or else the one for all sources."""
        return self._active[source] if source in self._own_values else self.for_all

    def are_own(self, source: NDArray[np.object_]) -> NDArray[np.bool_]:
        """Which of these sources (n,) have a threshold of their own."""
        if not self._own_values:
            return np.zeros(len(source), np.bool_)
        return np.fromiter(map(self._own_values.__contains__, source.tolist()), np.bool_, len(source))

    def judge(self, source: NDArray[np.object_], score: NDArray[np.float32]) -> Verdicts:
        """Verdicts on scores (n,) of beats with these sources (n,); a score of NaN is a beat that was not scored.

        p = (1 + k) / (1 + n), with k of the n calibration scores at or above the score: the conformal p-value
        (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005).
        """
        at_or_above = len(self._calibration) - np.searchsorted(self._calibration, score, side="left")
        p_value = (1 + at_or_above) / (1 + len(self._calibration))
        p_value[np.isnan(score)] = np.nan
        threshold = self._column(source)
        return Verdicts(score > threshold, p_value, threshold)  # float64 on both sides, like the p-values

    def _column(self, source: NDArray[np.object_]) -> NDArray[np.float64]:
        """The threshold of each row."""
        if not self._own_values:
            return np.broadcast_to(np.float64(self.value), len(source))
        return np.fromiter(map(self._own_values.get, source.tolist(), repeat(self.value)), np.float64, len(source))

    def apply(self, record: ControlRecord) -> str:
        """Apply one control record. Returns "", or a sentence that says why the record is invalid and ignored.

        An invalid record changes nothing: the threshold from before stays active. A record that is read again changes
        nothing either: records of a source are applied once, in the order of their offsets. A record that resets a
        profile is valid, and has nothing to do with thresholds.
        """
        try:
            request = control_message.read(record)
            if isinstance(request, ControlRequest) and record.offset > self._last_offset(request.source):
                self._apply(request, record.offset)
        except RefusedError as error:
            return control_message.why_ignored(record, error, names_source=False)  # a log names no patient's source
        return ""

    def _last_offset(self, source: bytes) -> int:
        """The offset of the last record applied to a source; -1 if there is none."""
        active = self._active.get(source)
        return self._cleared.get(source, -1) if active is None or active.version is None else active.version

    def _apply(self, request: ControlRequest, offset: int) -> None:
        """Set or remove a source's threshold. Raises RefusedError, and changes nothing, if that is not possible.

        The offset of a removal is kept, so that an older record which is read again does not set the threshold again.
        """
        source = request.source
        if request.command is None:
            self._active.pop(source, None)
            self._own_values.pop(source, None)
            self._cleared[source] = offset
            if len(self._cleared) > MAX_SOURCES:
                del self._cleared[next(iter(self._cleared))]
            return
        is_own = source != ALL
        if is_own and source not in self._own_values and len(self._own_values) >= MAX_SOURCES:
            raise RefusedError(f"{MAX_SOURCES} sources have a threshold of their own, and no more can be kept")
        active = ActiveThreshold(threshold_of(request.command, self._calibration), offset, request.command.by)
        self._active[source] = active
        self._cleared.pop(source, None)
        if is_own:
            self._own_values[source] = active.value


def threshold_of(command: ThresholdCommand, calibration: NDArray[np.float64]) -> float:
    """The threshold that a command sets, with these scores (n,) of normal beats, ascending.

    For a false-alarm rate it is the threshold with this property: score > threshold exactly if p <= rate.

    p = (1 + k) / (n + 1), where k calibration scores are at or above the score. Let m be the largest number with
    m / (n + 1) <= rate. Then p <= rate means k < m, and that means: the score is above the m-th largest calibration
    score. (A score equal to that one has k >= m, with or without ties.) So the m-th largest one is the threshold.

    Raises RefusedError for a rate below the smallest possible p, 1 / (n + 1).
    """
    if command.measure == "threshold":
        return command.amount
    n = len(calibration)
    p_values = np.arange(1, n + 1) / (n + 1)  # divided as in `judge`, so that both round alike
    flagged = int(np.searchsorted(p_values, command.amount, side="right"))
    if flagged == 0:
        raise RefusedError(
            f"a false-alarm rate of {command.amount:g} is finer than the model's {n} normal beats can support: "
            f"1/{n + 1} is the finest"
        )
    return float(calibration[n - flagged])
