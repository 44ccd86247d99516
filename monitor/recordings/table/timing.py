"""Columns of tables that hold times: seconds, milliseconds, microseconds, times of day, dates, or sample numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.limits import MAX_SECONDS

DAY_SECONDS = 86_400.0
TIME_WORDS = frozenset({"time", "timestamp", "elapsed", "t", "clock", "date", "datetime", "zeit"})
SAMPLE_WORDS = frozenset({"sample", "samples", "index", "idx", "#"})
UNIT_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "millis"), 1e3),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "microsecond", "microseconds", "micros"), 1e6),
}
STEPS = {1.0: (1e-5, 0.1), 1e3: (0.5, 20.0), 1e6: (50.0, 20_000.0)}  # from a sample to the next, in 1/key seconds
RATE_TOLERANCE = 0.01  # share by which the rate of a time column may differ from the one that is given
WHOLE_TOLERANCE = 1e-4  # share by which a whole number of Hz may differ from the rate that is measured
LEAST_GAP = 0.5  # samples, beside the resolution of the times
_CLOCK = re.compile(r"\d{1,3}(:\d{1,2}){1,2}([.,]\d{1,9})?")


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column with times, as far as its name and its cells say."""

    place: int
    is_clock: bool  # 0:01:02.003, or a date with a time
    resolution: float  # the smallest difference that times written like these can have
    per_second: float | None  # what the column counts in a second; None if its name does not say
    is_number: bool  # numbers of samples


@dataclass(frozen=True, slots=True)
class Timing:
    """What a time column means."""

    per_second: float  # units of the column in a second; samples a second where it counts samples
    hz: float  # of the lead
    resolution: float  # of the times, in samples
    is_clock: bool = False  # whether the times may begin again at midnight


def clock_seconds(cell: str) -> float | None:
    """Seconds of a time such as 1:02.5, 0:01:02.5 or 2026-11-30T10:00:00.5; None for anything else."""
    text = cell.strip("[]'\" ")
    if _CLOCK.fullmatch(text):
        seconds = 0.0
        for part in text.replace(",", ".").split(":"):
            seconds = 60 * seconds + float(part)
        return seconds
    moment = clock_moment(text)
    return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def clock_moment(cell: str) -> datetime | None:
    """A date with a time such as 2026-11-30T10:00:00.5; None for anything else."""
    text = cell.strip("[]'\" ")
    if not text[:4].isdecimal() or "-" not in text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def named_time(name: str, unit: str | None) -> tuple[float | None, bool] | None:
    """What the name and the unit of a column say; None if it holds no times.

    Otherwise how many of its units are a second, 1000 for ms and None if no unit is named, and whether it counts
    samples.
    """
    words = re.findall(r"[a-z\u00b5\u03bc]+|#", f"{name} {unit or ''}".casefold())
    per_second = next((UNIT_WORDS[word] for word in words if word in UNIT_WORDS), None)
    if any(word in TIME_WORDS for word in words) or (words and all(word in UNIT_WORDS for word in words)):
        return per_second, False
    return (None, True) if any(word in SAMPLE_WORDS for word in words) else None


def timing_of(path: Path, column: TimeColumn, times: NDArray[np.float64], hz: float | None) -> Timing:
    """The unit and the rate of a time column, from its first times (n,) and from `hz`, if the user gave it.

    The column counts samples if its name says so. It also does if its name tells no unit, the times go in steps of 1,
    and milliseconds would contradict `hz`. Raises RecordingError where the times contradict `hz`, and where it is open
    which unit they have.
    """
    step = _step(path, times, is_clock=column.is_clock)
    if column.is_number or (column.per_second is None and hz is not None and step == 1 and not _fits(1e3, step, hz)):
        if hz is None:
            raise RecordingError(f"{path}: column {column.place} counts samples: give the samples a second (hz)")
        return Timing(hz, hz, 0.0)
    units = (1.0,) if column.is_clock else (column.per_second,) if column.per_second else tuple(STEPS)
    resolution = column.resolution / step
    if hz is None:
        unit = _likely(path, column, step, units)
        rate = _whole(unit / step, column.resolution / np.ptp(times))
        return Timing(unit, rate, resolution, column.is_clock)
    fitting = [unit for unit in units if _fits(unit, step, hz)]
    if not fitting:
        rates = " or ".join(f"{unit / step:g}" for unit in _usual(units, step) or units)
        raise RecordingError(f"{path}: its times (column {column.place}) are those of {rates} Hz, not of {hz:g} Hz")
    return Timing(fitting[0], hz, resolution, column.is_clock)


def _step(path: Path, times: NDArray[np.float64], *, is_clock: bool) -> float:
    """The usual difference of two times that follow each other. Gaps do not count."""
    steps = _past_midnight(np.diff(times)) if is_clock else np.diff(times)
    if not np.isfinite(steps).all() or (steps < 0).any() or not (steps > 0).any():
        raise RecordingError(f"{path}: its times are missing, or do not go forward")
    return float(steps[steps <= 1.5 * np.median(steps[steps > 0])].mean())


def _past_midnight(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences of times of day, which begin again at midnight."""
    return np.where(steps < -DAY_SECONDS / 2, steps + DAY_SECONDS, steps)


def _fits(unit: float, step: float, hz: float) -> bool:
    """Whether such steps give the rate `hz`, if a second has so many units."""
    return abs(unit / step / hz - 1) <= RATE_TOLERANCE


def _likely(path: Path, column: TimeColumn, step: float, units: tuple[float, ...]) -> float:
    """The unit in which such steps are those of an ECG."""
    if len(units) == 1:
        return units[0]
    found = _usual(units, step)
    if not found or step == 1:  # milliseconds, or sample numbers
        raise RecordingError(
            f"{path}: its times (column {column.place}) go in steps of {step:g} of an unknown unit: "
            "give the samples a second (hz)"
        )
    return found[0]


def _usual(units: tuple[float, ...], step: float) -> list[float]:
    """The units in which such steps are those of an ECG."""
    return [unit for unit in units if STEPS[unit][0] <= step <= STEPS[unit][1]]


def _whole(hz: float, error: float) -> float:
    """The rate, or the nearest whole number if the rate may be that; `error` is a share of the rate."""
    return float(round(hz)) if abs(hz - round(hz)) <= hz * max(WHOLE_TOLERANCE, error) else hz


@dataclass(slots=True)
class TimeLine:
    """Finds gaps in the times of a table while it is read."""

    path: Path
    timing: Timing
    last: float | None = None  # time of the last row, seconds

    def missing(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many samples are missing before each of the next rows (n,).

        Raises RecordingError for times that go back.
        """
        seconds = times / self.timing.per_second
        if not len(seconds):
            return np.zeros(0, np.int64)
        steps = np.diff(seconds, prepend=seconds[0] if self.last is None else self.last)
        steps = _past_midnight(steps) if self.timing.is_clock else steps
        missing = steps * self.timing.hz - 1
        missing[0] = 0 if self.last is None else missing[0]
        wrong = ~((steps >= 0) & (missing > -1 - self.timing.resolution) & (steps <= MAX_SECONDS))
        if wrong.any():
            place = int(np.argmax(wrong))
            before = seconds[place - 1] if place else self.last
            raise RecordingError(f"{self.path}: the time {seconds[place]:.3f} s follows {before:.3f} s: sort the rows")
        self.last = float(seconds[-1])
        return np.where(missing > self.timing.resolution + LEAST_GAP, np.rint(missing), 0).astype(np.int64)
