"""Finds out what the columns of a table are: names, units, and which one holds times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.table.lines import Cells, Lines, blocks, cells_of
from monitor.recordings.table.timing import TimeColumn, TimeName, clock_seconds, named_time
from monitor.recordings.unit import mv_in

COMMENTS = ("#", "%")
MAX_COLUMNS = 1024
EXAMINED_ROWS = 200
LEAST_RISING = 10  # rows in which a column must rise to be one of times, or by 1 to number rows
NO_NAME = re.compile(r"unnamed: \d+|", re.IGNORECASE)  # pandas calls a column without a name so
_UNIT = re.compile(
    r"(?P<name>.*?)\s*[(\[](?P<unit>[^)\]]*)[)\]]|(?P<stem>.+)[ _](?P<volts>[num\u00b5\u03bc]v)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table, numbered from 0."""

    cells: Cells
    first_row: int  # number of the first line with samples, from 1
    names: tuple[str, ...]  # without units
    units: tuple[str, ...]  # empty where the table does not say one
    time: TimeColumn | None
    leads: tuple[int, ...]  # the columns that hold neither times nor numbers of rows


def read_layout(path: Path) -> tuple[Layout, Lines]:
    """What the columns are, and the first lines with samples. Raises RecordingError for a file that is no table."""
    block = next(blocks(path), Lines(1, []))
    numbers = [number for number, line in enumerate(block.lines) if line.strip() and not line.startswith(COMMENTS)]
    lines = [block.lines[number] for number in numbers[: EXAMINED_ROWS + 2]]
    if not lines:
        raise RecordingError(f"{path}: holds no samples, where a table with a row for each is expected")
    cells = cells_of(lines[1:] or lines)
    rows = [cells.of(line) for line in lines]
    heads = rows[: _heads(cells, rows)]
    rows = rows[len(heads) :]
    if not rows or len(rows[0]) > MAX_COLUMNS or all(_is_text(cells, cell) for cell in rows[0]):
        raise RecordingError(
            f"{path}: holds no numbers in 1 to {MAX_COLUMNS} columns, where a row for each sample is expected"
        )
    names, units = _names(heads, len(rows[0]))
    first = numbers[len(heads)]
    time, leads = _columns(cells, heads, rows)
    layout = Layout(cells, block.first + first, names, units, time, leads)
    return layout, Lines(layout.first_row, block.lines[first:])


def rows_of(path: Path, layout: Layout) -> Iterator[Lines]:
    """All lines with samples."""
    for block in blocks(path):
        skipped = max(0, layout.first_row - block.first)
        yield Lines(block.first + skipped, block.lines[skipped:])


def _heads(cells: Cells, rows: list[list[str]]) -> int:
    """How many of the first rows hold names, or units below them: at most two, with text where others have numbers."""
    numbers = {place for row in rows[1:] for place, cell in enumerate(row) if not _is_text(cells, cell)}
    texts = [any(_is_text(cells, cell) and place in numbers for place, cell in enumerate(row)) for row in rows[:2]]
    return texts.index(False) if False in texts else len(texts)


def _is_text(cells: Cells, cell: str) -> bool:
    return cells.number(cell) is None and clock_seconds(cell) is None


def _names(heads: list[list[str]], columns: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of the columns. A unit stands in the second row, or with the name as in `II (mV)` or `II_mV`."""
    first, second = ([*row, *[""] * columns][:columns] for row in [*heads, [], []][:2])
    pairs = [without_unit(name) for name in first]
    names = tuple(name or f"column {place}" for place, (name, _) in enumerate(pairs))
    return names, tuple(below or unit for below, (_, unit) in zip(second, pairs, strict=True))


def without_unit(name: str) -> tuple[str, str]:
    """A name such as `II (mV)`, cut into `II` and `mV`. The unit is empty if there is none of a voltage."""
    found = _UNIT.fullmatch(name)
    if found is None or mv_in(unit := found["unit"] or found["volts"] or "") is None:
        return name, ""
    return found["name"] or found["stem"] or "", unit


def _columns(cells: Cells, heads: list[list[str]], rows: list[list[str]]) -> tuple[TimeColumn | None, tuple[int, ...]]:
    """The column of times, if there is one, and the leads: all columns but times and numbers of rows.

    Times are known by their name. Of several, one that moves is taken, and one that counts samples only if no other is.
    """
    places = range(len(rows[0]))
    values = [_values(cells, rows, place) for place in places]
    counts = {place for place in places if len(rows) >= LEAST_RISING and bool((np.diff(values[place]) == 1).all())}
    names = [*(heads[0] if heads else []), *[""] * len(places)]
    below = [*(heads[1] if len(heads) > 1 else []), *[""] * len(places)]
    times = {place: said for place in places if (said := named_time(names[place], below[place])) is not None}
    if not times and (unnamed := _unnamed(rows, values, names, counts)) is not None:
        times = {unnamed: TimeName()}
    chosen = min(times, key=lambda place: (not np.ptp(values[place]) > 0, times[place].is_number, place), default=None)
    left = {place for place in times if place == chosen or bool((np.diff(values[place]) >= 0).all())}
    left |= counts if len(left | counts) < len(places) else set()
    leads = tuple(place for place in places if place not in left)
    if chosen is None:
        return None, leads
    is_clock = clock_seconds(rows[0][chosen]) is not None
    return TimeColumn(chosen, is_clock, _resolution(rows, chosen), times[chosen]), leads


def _unnamed(
    rows: list[list[str]], values: list[NDArray[np.float64]], names: list[str], counts: set[int]
) -> int | None:
    """The first column with times of day or dates; else the first column, if it has no name and rises; else None.

    Where the first column numbers the rows and the second one rises as well, the second one holds the times.
    """
    clocks = [place for place, cell in enumerate(rows[0]) if clock_seconds(cell) is not None]
    rising = [
        len(rows) >= LEAST_RISING and bool(NO_NAME.fullmatch(name)) and bool((np.diff(column) > 0).all())
        for name, column in zip(names, values, strict=False)
    ]
    if clocks or len(rows[0]) == 1 or not rising[0]:
        return clocks[0] if clocks else None
    return 1 if 0 in counts and rising[1] and len(rows[0]) > 2 else 0  # noqa: PLR2004 - number, time and a lead


def _values(cells: Cells, rows: list[list[str]], place: int) -> NDArray[np.float64]:
    """The numbers or the times of a column (rows,); NaN where there are none."""
    found = [
        next((value for value in (cells.number(row[place]), clock_seconds(row[place])) if value is not None), np.nan)
        if place < len(row)
        else np.nan
        for row in rows
    ]
    return np.array(found, np.float64)


def _resolution(rows: list[list[str]], place: int) -> float:
    """The smallest difference that times written like these can have."""
    decimals = (re.search(r"[.,](\d{1,9})\]?$", row[place]) for row in rows if place < len(row))
    return 10.0 ** -max((len(found[1]) if found else 0 for found in decimals), default=0)
