"""Columns of tables that hold times: seconds, milliseconds, microseconds, times of day, dates, or sample numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.limits import MAX_GAP_SECONDS

DAY_SECONDS = 86_400.0
TIME_WORDS = frozenset({"time", "timestamp", "elapsed", "t", "clock", "date", "datetime", "zeit"})
SAMPLE_WORDS = frozenset({"sample", "samples", "index", "idx", "#"})
UNIT_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "millis"), 1e3),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "microsecond", "microseconds", "micros"), 1e6),
}
OTHER_UNIT_WORDS = {  # only beside a word for time: a column named `min` may hold the least values
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 1 / 3600),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e9),
}
STEPS = {1.0: (1e-5, 0.1), 1e3: (0.5, 20.0), 1e6: (50.0, 20_000.0)}  # from a sample to the next, in 1/key seconds
RATE_TOLERANCE = 0.01  # share by which the rate of a time column may differ from the one that is given
WHOLE_TOLERANCE = 1e-4  # share by which a whole number of Hz may differ from the rate that is measured
LEAST_GAP = 0.5  # samples, beside the resolution of the times
USUAL_SHARE = 0.9  # of the steps in the first lines: the others may be gaps
CHECKED_SECONDS = 60.0  # after which the count of rows and the times are compared again
LEAST_PART = 10  # steps to another time from which the rate of a part is measured
LEAST_DRIFT = 0.1  # seconds by which the rows may be ahead of the times, or behind, beside RATE_TOLERANCE
_UNIT = re.compile(r"[(\[]([^)\]]*)[)\]]|/(.+)|\bin (.+)", re.IGNORECASE)  # in a name such as time (ms), time/ms
_CLOCK = re.compile(r"\d{1,3}(:\d{1,2}){1,2}([.,]\d{1,9})?")


@dataclass(frozen=True, slots=True)
class TimeName:
    """What the name of a column with times says, and the unit below it."""

    per_second: float | None = None  # what the column counts in a second; None if it is not said
    is_number: bool = False  # numbers of samples
    unknown: str = ""  # a unit that is none of those above


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column with times, as far as its name and its cells say."""

    place: int
    is_clock: bool  # 0:01:02.003, or a date with a time
    resolution: float  # the smallest difference that times written like these can have
    name: TimeName


@dataclass(frozen=True, slots=True)
class Timing:
    """What a time column means."""

    per_second: float  # units of the column in a second; samples a second where it counts samples
    hz: float  # of the lead
    slack: float  # samples by which usual times stray, from their resolution, from jitter, or from rows that share one
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


def named_time(name: str, unit: str) -> TimeName | None:
    """What the name and the unit of a column say; None if it holds no times."""
    words = _words_of(f"{name} {unit}")
    known = next((UNIT_WORDS[word] for word in words if word in UNIT_WORDS), None)
    if any(word in TIME_WORDS for word in words):
        known = known or next((OTHER_UNIT_WORDS[word] for word in words if word in OTHER_UNIT_WORDS), None)
        said = " ".join([*map("".join, _UNIT.findall(name)), unit]).strip()
        if any(word in SAMPLE_WORDS for word in _words_of(said)):
            return TimeName(is_number=True)
        is_known = not said or (known is not None and not re.search(r"\d", said))
        return TimeName(known, unknown="" if is_known else said)
    if words and all(word in UNIT_WORDS for word in words):
        return TimeName(known)
    return TimeName(is_number=True) if any(word in SAMPLE_WORDS for word in words) else None


def _words_of(text: str) -> list[str]:
    return re.findall(r"[a-z\u00b5\u03bc]+|#", text.casefold())


def timing_of(
    path: Path, column: TimeColumn, times: NDArray[np.float64], numbers: Sequence[int], hz: float | None
) -> Timing:
    """The unit and the rate of a time column, from its first times (n,) and from `hz`, if the user gave it.

    `numbers` (n,) are those of the lines.

    The column counts samples if its name says so. It also does if its name tells no unit, the times go in steps of 1,
    and milliseconds would contradict `hz`. Raises RecordingError where the times contradict `hz`, and where it is open
    which unit they have.
    """
    name = column.name
    if name.unknown and not column.is_clock:
        raise RecordingError(
            f"{path}: line {numbers[0]}: its times (column {column.place}) have the unit {name.unknown!r}, where "
            "s, ms, us, ns, min or h is expected",
            "correct the header, or remove the column and give the samples a second ({hz})",
        )
    steps = _steps(path, times, numbers, is_clock=column.is_clock)
    step, stray = _usual_step(steps, column.resolution)
    if name.is_number or (name.per_second is None and hz is not None and step == 1 and not _fits(1e3, step, hz)):
        if hz is None:
            raise RecordingError(f"{path}: column {column.place} counts samples", "give the samples a second ({hz})")
        return Timing(hz, hz, 0.0)
    units = (1.0,) if column.is_clock else (name.per_second,) if name.per_second else tuple(STEPS)
    slack = max(column.resolution / step, stray)
    if hz is None:
        unit = _likely(path, column, step, units)
        rate = _whole(unit / step, slack / len(times))
        return Timing(unit, rate, slack, column.is_clock)
    fitting = [unit for unit in units if _fits(unit, step, hz)]
    if not fitting:
        raise _other_rate(path, column, numbers, steps, _usual(units, step) or units, hz)
    return Timing(fitting[0], hz, slack, column.is_clock)


def _other_rate(
    path: Path,
    column: TimeColumn,
    numbers: Sequence[int],
    steps: NDArray[np.float64],
    units: Sequence[float],
    hz: float,
) -> RecordingError:
    """The error to raise where steps (n,) are not those of `hz`; it names the line where their rate changes, if any."""
    drift = np.cumsum(steps) - np.arange(1, len(steps) + 1) * steps.mean()
    bend = int(np.argmax(np.abs(drift))) + 1
    parts = [part for part in (steps[:bend], steps[bend:]) if np.count_nonzero(part > 0) >= LEAST_PART]
    usual = [_usual_step(part, column.resolution) for part in parts]
    error = sum(stray / len(part) for (_, stray), part in zip(usual, parts, strict=True))  # share of the steps
    rates = [units[0] / step for step, _ in usual]
    if len(rates) == 2 and abs(rates[0] / rates[1] - 1) > RATE_TOLERANCE + error:  # noqa: PLR2004 - before and after
        return RecordingError(
            f"{path}: near line {numbers[bend]} the rate of its times (column {column.place}) changes from "
            f"{rates[0]:.4g} Hz to {rates[1]:.4g} Hz, where {hz:g} Hz is given",
            "cut the file there, and give each part its own rate ({hz})",
        )
    rate = " or ".join(f"{unit / _usual_step(steps, column.resolution)[0]:g}" for unit in units)
    return RecordingError(
        f"{path}: its times (column {column.place}) from line {numbers[0]} on are those of {rate} Hz, not of {hz:g} Hz",
        "leave the rate ({hz}) out, or correct the times",
    )


def _steps(path: Path, times: NDArray[np.float64], numbers: Sequence[int], *, is_clock: bool) -> NDArray[np.float64]:
    """The differences (n - 1,) of the first times. Raises RecordingError where they give no rate."""
    missing = np.flatnonzero(~np.isfinite(times))
    if len(missing):
        raise RecordingError(f"{path}: line {numbers[missing[0]]}: its times are missing: remove such rows")
    if len(times) == 1:
        raise RecordingError(
            f"{path}: line {numbers[0]} is its only row, at the time {times[0]:.10g}",
            "add further rows, or give the samples a second ({hz})",
        )
    steps = _past_midnight(np.diff(times)) if is_clock else np.diff(times)
    if (steps < 0).any():
        place = int(np.argmax(steps < 0))
        raise RecordingError(
            f"{path}: line {numbers[place + 1]}: the time {times[place + 1]:.10g} follows {times[place]:.10g}: "
            "its times do not go forward",
            "sort the rows, or cut the file there",
        )
    if not (steps > 0).any():
        raise RecordingError(
            f"{path}: its times do not go forward: all are {times[0]:.10g} from line {numbers[0]} to {numbers[-1]}",
            "correct them, or remove the column and give the samples a second ({hz})",
        )
    return steps


def _usual_step(steps: NDArray[np.float64], resolution: float) -> tuple[float, float]:
    """The usual time from a row to the next, and how many of these usual times stray. Gaps do not count.

    Rows may share a time. The rows before the first new time and after the last one are left out, as more may share it.
    """
    places = np.flatnonzero(steps > 0)
    leaps, rows = steps[places], np.diff(places, prepend=-1)
    if len(places) > 1:
        leaps, rows = leaps[1:], rows[1:]
    low, middle, high = np.quantile(leaps, (0.3, 0.5, 0.7))
    is_even = high - low <= 1.5 * resolution
    is_usual = leaps <= (1.5 * middle if is_even else 2 * np.quantile(leaps, USUAL_SHARE))
    step = float(leaps[is_usual].sum() / rows[is_usual].sum())
    return step, 2 * float(np.quantile(np.abs(leaps / step - rows)[is_usual], USUAL_SHARE))


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
            f"{path}: its times (column {column.place}) go in steps of {step:g} of an unknown unit",
            "give the samples a second ({hz})",
        )
    return found[0]


def _usual(units: tuple[float, ...], step: float) -> list[float]:
    """The units in which such steps are those of an ECG."""
    return [unit for unit in units if unit in STEPS and STEPS[unit][0] <= step <= STEPS[unit][1]]


def _whole(hz: float, error: float) -> float:
    """The rate, or the nearest whole number if the rate may be that; `error` is a share of the rate."""
    return float(round(hz)) if abs(hz - round(hz)) <= hz * max(WHOLE_TOLERANCE, error) else hz


@dataclass(slots=True)
class TimeLine:
    """Finds gaps in the times of a table while it is read."""

    path: Path
    timing: Timing
    last: float | None = None  # time of the last row, seconds
    sharing: int = 0  # rows since the time was another one, the last row included
    ahead: float = 0.0  # samples that are too many for the times, since they were last compared
    compared: float = 0.0  # time of that, seconds

    def missing(self, times: NDArray[np.float64], numbers: Sequence[int]) -> NDArray[np.int64]:
        """How many samples are missing before each of the next rows (n,), which stand in the lines `numbers`.

        Raises RecordingError for times that go back or are missing, for a long gap, and for another rate.
        """
        seconds = times / self.timing.per_second
        if not len(seconds):
            return np.zeros(0, np.int64)
        is_first = self.last is None
        before = np.concatenate([seconds[:1] if self.last is None else [self.last], seconds[:-1]])
        steps = _past_midnight(seconds - before) if self.timing.is_clock else seconds - before
        self._check(steps, seconds, before, numbers)
        missing = steps * self.timing.hz - self._rows_before(steps)
        found = np.where(missing > self.timing.slack + LEAST_GAP, np.rint(missing), 0).astype(np.int64)
        extra = 1 + found - steps * self.timing.hz
        extra[0] = 0 if is_first else extra[0]
        self._compare(extra, steps, numbers)
        self.last = float(seconds[-1])
        return found

    def _check(
        self,
        steps: NDArray[np.float64],
        seconds: NDArray[np.float64],
        before: NDArray[np.float64],
        numbers: Sequence[int],
    ) -> None:
        """Raises RecordingError for the first time that is missing, goes back, or follows too long a gap."""
        wrong = ~((steps >= 0) & (steps <= MAX_GAP_SECONDS))
        if not wrong.any():
            return
        place = int(np.argmax(wrong))
        where = f"{self.path}: line {numbers[place]}"
        if np.isnan(seconds[place]):
            raise RecordingError(f"{where}: its time is missing: remove the line, or write its time")
        said = f"the time {seconds[place]:.3f} s follows {before[place]:.3f} s"
        if steps[place] > 0:
            raise RecordingError(
                f"{where}: a gap of {_words(steps[place])}: {said}: cut the file there, or correct the time"
            )
        raise RecordingError(f"{where}: {said}: sort the rows, or cut the file there")

    def _rows_before(self, steps: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many rows share the time before each row (n,)."""
        rows = np.arange(len(steps), dtype=np.int64)
        latest = np.maximum.accumulate(np.where(steps > 0, rows, -self.sharing))
        before: NDArray[np.int64] = np.concatenate([[-self.sharing], latest[:-1]])
        self.sharing = len(steps) - int(latest[-1])
        return rows - before

    def _compare(self, extra: NDArray[np.float64], steps: NDArray[np.float64], numbers: Sequence[int]) -> None:
        """Raises RecordingError where the rows and the times are apart by more than a rate may differ."""
        clock = self.compared + np.cumsum(steps)
        part = np.floor_divide(clock, CHECKED_SECONDS).astype(np.int64)
        total = self.ahead + np.cumsum(extra)
        latest = np.maximum.accumulate(np.where(np.diff(part, prepend=0) > 0, np.arange(len(part)), -1))
        base = np.where(latest < 0, 0.0, total[latest])
        allowed = (LEAST_DRIFT + RATE_TOLERANCE * np.mod(clock, CHECKED_SECONDS)) * self.timing.hz + self.timing.slack
        wrong = np.abs(total - base) > allowed
        if wrong.any():
            bend = int(np.argmax(np.abs(total - np.linspace(total[0], total[-1], len(total)))))
            raise RecordingError(
                f"{self.path}: near line {numbers[bend]} the rate of its times changes, or rows are there twice "
                f"({self.timing.hz:g} Hz does not fit all): cut the file there, or remove the rows that are double"
            )
        self.ahead, self.compared = float(total[-1] - base[-1]), float(np.mod(clock[-1], CHECKED_SECONDS))


def _words(seconds: float) -> str:
    """A long time in days or hours."""
    return f"{seconds / DAY_SECONDS:.0f} days" if seconds >= 2 * DAY_SECONDS else f"{seconds / 3600:.1f} hours"
