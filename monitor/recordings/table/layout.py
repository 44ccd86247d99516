"""Finds out what the columns of a table are: names, units, and which one holds times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.errors import RecordingError
from monitor.recordings.table.lines import Cells, Lines, blocks, cells_of
from monitor.recordings.table.timing import TimeColumn, clock_seconds, named_time
from monitor.recordings.unit import mv_in

COMMENTS = ("#", "%")
MAX_COLUMNS = 1024
EXAMINED_ROWS = 200
LEAST_RISING = 10  # rows in which a column without a name must rise evenly to be one of times
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

    @property
    def leads(self) -> tuple[int, ...]:
        """The columns that are not times."""
        return tuple(place for place in range(len(self.names)) if self.time is None or place != self.time.place)


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
    layout = Layout(cells, block.first + first, names, units, _time(cells, heads, rows))
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


def _time(cells: Cells, heads: list[list[str]], rows: list[list[str]]) -> TimeColumn | None:
    """The column of times: by its name, or the first one where it has no name and holds times or rises evenly."""
    clocks = [place for place, cell in enumerate(rows[0]) if clock_seconds(cell) is not None]
    names = heads[0] if heads else []
    for place, name in enumerate(names[: len(rows[0])]):
        said = named_time(name, heads[1][place] if len(heads) > 1 and place < len(heads[1]) else None)
        if said is not None:
            return TimeColumn(place, place in clocks, _resolution(rows, place), *said)
    is_rising = len(rows[0]) > 1 and not (names and names[0]) and _rises(cells, rows)
    if not clocks and not is_rising:
        return None
    place = clocks[0] if clocks else 0
    return TimeColumn(place, bool(clocks), _resolution(rows, place), per_second=None, is_number=False)


def _resolution(rows: list[list[str]], place: int) -> float:
    """The smallest difference that times written like these can have."""
    decimals = (re.search(r"[.,](\d{1,9})\]?$", row[place]) for row in rows if place < len(row))
    return 10.0 ** -max((len(found[1]) if found else 0 for found in decimals), default=0)


def _rises(cells: Cells, rows: list[list[str]]) -> bool:
    """Whether the first column rises from row to row, as times do and no lead does for long."""
    numbers = [cells.number(row[0]) for row in rows]
    if len(numbers) < LEAST_RISING or None in numbers:
        return False
    return bool((np.diff(np.array(numbers, np.float64)) > 0).all())
