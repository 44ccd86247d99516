"""Reads one lead of a table in a text file: a row for each sample, a column for each lead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.lead_choice import chosen, listed
from monitor.recordings.limits import check_length, check_rate
from monitor.recordings.recording import Recording, gap, minutes
from monitor.recordings.table.layout import Layout, read_layout, rows_of, without_unit
from monitor.recordings.table.lines import Lines
from monitor.recordings.table.timing import DAY_SECONDS, LEAST_DRIFT, TimeLine, Timing, clock_moment, timing_of
from monitor.recordings.unit import EXPECTED_UNITS, mv_in


@dataclass(frozen=True, slots=True)
class TableChoice:
    """What a user says about a table. `lead` counts leads, `column` counts all columns, both from 0."""

    lead: str | int | None = None
    column: str | int | None = None
    hz: float | None = None
    unit: str | None = None


def open_table(path: Path, choice: TableChoice) -> Recording:
    """A lead of a table. Raises RecordingError."""
    layout, lines = read_layout(path)
    place = _place(path, layout, choice)
    name = layout.names[place]
    scale = _scale(path, name, choice.unit or layout.units[place])
    timing = _timing(path, layout, lines, choice.hz)
    check_rate(path, name, timing.hz)
    seconds = _seconds(path, layout, lines, timing)
    check_length(path, name, seconds)
    signal = TablePieces(path, layout, place, timing, scale)
    return Recording(path, timing.hz, name, _start(layout, lines), seconds, None, signal)


def table_leads(path: Path) -> tuple[str, ...]:
    """The names of the columns that are not times. Raises RecordingError."""
    layout, _ = read_layout(path)
    return tuple(layout.names[place] for place in layout.leads)


def _place(path: Path, layout: Layout, choice: TableChoice) -> int:
    """The column to read."""
    if choice.column is None:
        lead = without_unit(choice.lead)[0] if isinstance(choice.lead, str) else choice.lead
        return layout.leads[chosen(path, [layout.names[place] for place in layout.leads], lead)]
    if choice.lead is not None:
        raise RecordingError(
            f"{path}: lead {choice.lead!r} and column {choice.column!r} are given", "give {lead} or {column}, not both"
        )
    column = without_unit(choice.column)[0] if isinstance(choice.column, str) else choice.column
    place = chosen(path, layout.names, column, "column")
    if place not in layout.leads:
        raise RecordingError(
            f"{path}: column {place} of {listed(layout.names)} holds times or numbers of rows", "give another {column}"
        )
    return place


def _scale(path: Path, name: str, unit: str) -> float:
    """The factor from `unit` to mV. Raises RecordingError where the unit of lead `name` is unknown or missing."""
    factor = mv_in(unit)
    if factor is None:
        said = f"has the unit {unit!r}" if unit else "has no unit in the table"
        raise RecordingError(f"{path}: lead {name!r} {said}", f"give its {{unit}}: {EXPECTED_UNITS}")
    return factor


def _timing(path: Path, layout: Layout, lines: Lines, hz: float | None) -> Timing:
    """The rate that the user gave, or that of the time column."""
    if layout.time is not None:
        times = _times(path, layout, lines)
        if hz is None or len(times) > 1:
            return timing_of(path, layout.time, times, _numbers(lines), hz)
    if hz is None:
        raise RecordingError(f"{path}: has no column of times", "give the samples a second ({hz})")
    return Timing(1.0, hz, 0.0)


def _times(path: Path, layout: Layout, lines: Lines) -> NDArray[np.float64]:
    """The time column (n,) of some lines, as it counts."""
    if layout.time is None:
        return np.empty(0)
    place = layout.time.place
    return layout.cells.columns(path, lines, [place], place if layout.time.is_clock else None)[:, 0]


def _numbers(lines: Lines) -> list[int]:
    """The numbers of the lines that are not blank."""
    return [number for number, line in enumerate(lines.lines, lines.first) if line and not line.isspace()]


def _seconds(path: Path, layout: Layout, lines: Lines, timing: Timing) -> float:
    """How long the table is: from the first time to the last, or by the number of its rows.

    Raises RecordingError where the first time or the last one is missing.
    """
    rows, last = 0, lines
    for block in rows_of(path, layout):
        filled = [number for number, line in enumerate(block.lines) if line and not line.isspace()]
        rows += len(filled)
        last = Lines(block.first + filled[-1], [block.lines[filled[-1]]]) if filled else last
    if layout.time is None:
        return rows / timing.hz
    first, end = _times(path, layout, Lines(lines.first, lines.lines[:1])), _times(path, layout, last)
    # a lone quotation mark is read as no row
    whole = float(end[-1] - first[0]) if len(first) and len(end) else math.nan
    span = whole / timing.per_second + 1 / timing.hz
    if not math.isfinite(span):
        raise RecordingError(f"{path}: its first time or its last one is missing", "remove such rows")
    days = math.ceil((rows / timing.hz - span) / DAY_SECONDS - 0.5)  # times of day begin again at midnight
    span += DAY_SECONDS * max(0, days) if layout.time.is_clock else 0.0
    if 0 < rows - span * timing.hz <= max(timing.slack, LEAST_DRIFT * timing.hz):  # rows that share the last time
        span = rows / timing.hz
    return round(span * timing.hz) / timing.hz


def _start(layout: Layout, lines: Lines) -> datetime | None:
    """When the first sample was taken, if the times are dates."""
    moment = clock_moment(layout.cells.of(lines.lines[0])[layout.time.place]) if layout.time else None
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone().replace(tzinfo=None)  # the clock of this machine, as a time without an offset is taken


@dataclass(frozen=True, slots=True)
class TablePieces:
    """One column of a table, read piece by piece."""

    path: Path
    layout: Layout
    place: int  # of the column
    timing: Timing
    scale: float  # mV in one of its unit

    def pieces(self, first: int) -> Iterator[NDArray[np.float64]]:
        """As `recording.Signal` says."""
        at = 0
        for samples in self._blocks():
            yield from minutes(samples[max(0, first - at) :], self.timing.hz)
            at += len(samples)

    def _blocks(self) -> Iterator[NDArray[np.float64]]:
        """All samples and gaps, from the start."""
        time, line = self.layout.time, TimeLine(self.path, self.timing)
        wanted = [self.place] if time is None else [self.place, time.place]
        for lines in rows_of(self.path, self.layout):
            clock = time.place if time is not None and time.is_clock else None
            columns = self.layout.cells.columns(self.path, lines, wanted, clock)
            samples = columns[:, 0] * self.scale
            missing = line.missing(columns[:, 1], _numbers(lines)) if time is not None else np.zeros(0, np.int64)
            done = 0
            for row in np.flatnonzero(missing).tolist():
                yield samples[done:row]
                yield from gap(int(missing[row]), self.timing.hz)
                done = row
            yield samples[done:]
