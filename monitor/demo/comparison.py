"""Alarms of a recording beside its annotations, which the monitor does not read.

A run is three or more ventricular beats in a row. It is found if an alarm is open at one of its beats or at one of the
next two: the last beats that an alarm can open by which looks at five.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.recordings.beat_symbols import BEAT_SYMBOLS, NORMAL_SYMBOLS, REACH_SECONDS, VENTRICULAR_SYMBOLS
from monitor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.recordings import Annotations

RUN = 3  # ventricular beats in a row
OPEN: int = Settings.model_fields["episode_open"].default  # flagged beats that open an alarm, by the default rule
WINDOW: int = Settings.model_fields["episode_window"].default  # among so many last ones
SECONDS_PER_HOUR = 3600
HEADS = ("record", "hours", "runs", "found", "alarms", "at runs", "at other abnormal", "among normal", "in alarm")


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A stretch of a recording, such as an alarm. Seconds since the first sample."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """Counts of one recording. The last three kinds of alarms add up to `alarms`."""

    name: str
    seconds: float
    runs: int
    found: int
    alarms: int
    at_runs: int
    at_abnormal: int  # away from all runs, but 3 of the last 5 beats before the alarm are annotated as abnormal
    among_normal: int
    alarm_seconds: float

    def cells(self) -> tuple[str, ...]:
        """A row of the table, under HEADS."""
        counts = (self.runs, self.found, self.alarms, self.at_runs, self.at_abnormal, self.among_normal)
        share = self.alarm_seconds / self.seconds
        return (self.name, f"{self.seconds / SECONDS_PER_HOUR:.1f}", *(f"{one:,}" for one in counts), f"{share:.0%}")


def compare(name: str, seconds: float, annotations: Annotations, alarms: Sequence[TimeSpan]) -> RecordComparison:
    """Count runs and alarms of a recording of so many seconds."""
    is_beat = np.array([symbol in BEAT_SYMBOLS for symbol in annotations.symbols], np.bool_)
    times = annotations.seconds[is_beat]
    symbols = [symbol for symbol in annotations.symbols if symbol in BEAT_SYMBOLS]
    runs = _runs(times, np.array([symbol in VENTRICULAR_SYMBOLS for symbol in symbols], np.bool_))
    abnormal = np.array([symbol not in NORMAL_SYMBOLS for symbol in symbols], np.bool_)
    away = [one for one in alarms if not any(_touch(one, run) for run in runs)]
    at_abnormal = sum(_is_at_abnormal(one, times, abnormal) for one in away)
    return RecordComparison(
        name=name,
        seconds=seconds,
        runs=len(runs),
        found=sum(any(_touch(one, run) for one in alarms) for run in runs),
        alarms=len(alarms),
        at_runs=len(alarms) - len(away),
        at_abnormal=at_abnormal,
        among_normal=len(away) - at_abnormal,
        alarm_seconds=sum(one.end - one.start for one in alarms),
    )


def _runs(times: NDArray[np.float64], ventricular: NDArray[np.bool_]) -> list[TimeSpan]:
    """From the first beat of each run to the last one at which an alarm for it can open."""
    edges = np.diff(np.concatenate(([False], ventricular, [False])).astype(np.int8))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    lasts = np.minimum(ends - 1 + WINDOW - OPEN, len(times) - 1)
    return [
        TimeSpan(float(times[first]) - REACH_SECONDS, float(times[last]) + REACH_SECONDS)
        for first, end, last in zip(firsts, ends, lasts, strict=True)
        if end - first >= RUN
    ]


def _touch(one: TimeSpan, other: TimeSpan) -> bool:
    return one.start <= other.end and one.end >= other.start


def _is_at_abnormal(alarm: TimeSpan, times: NDArray[np.float64], abnormal: NDArray[np.bool_]) -> bool:
    end = int(np.searchsorted(times, alarm.start + REACH_SECONDS, side="right"))
    return int(abnormal[max(0, end - WINDOW) : end].sum()) >= OPEN


def total(rows: Sequence[RecordComparison]) -> RecordComparison:
    """All recordings together."""
    return RecordComparison(
        name=f"all {len(rows)}",
        seconds=sum(one.seconds for one in rows),
        runs=sum(one.runs for one in rows),
        found=sum(one.found for one in rows),
        alarms=sum(one.alarms for one in rows),
        at_runs=sum(one.at_runs for one in rows),
        at_abnormal=sum(one.at_abnormal for one in rows),
        among_normal=sum(one.among_normal for one in rows),
        alarm_seconds=sum(one.alarm_seconds for one in rows),
    )


def table(rows: Sequence[RecordComparison]) -> str:
    """A plain table with a last row for all recordings together."""
    lines = [HEADS, *(one.cells() for one in (*rows, total(rows)))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)
