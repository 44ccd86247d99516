"""Lines and cells of tables in text files: CSV, TSV, columns separated by semicolons or spaces."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.library import unreadable
from monitor.recordings.table.timing import clock_seconds

BLOCK_BYTES = 2**20  # read at a time
MAX_LINE_BYTES = 2**16
INVALID = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})  # stand for a sample that is missing
_COMMA, _POINT = re.compile(r"[-+]?\d*,\d+"), re.compile(r"[-+]?\d*\.\d+")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of a file that follow each other, blank ones included."""

    first: int  # number of the first one, from 1
    lines: list[str]


def blocks(path: Path) -> Iterator[Lines]:
    """All lines of a file, about a MiB at a time. Raises RecordingError for a file that is no text."""
    first = 1
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                block += file.readline(MAX_LINE_BYTES + 1)
                lines = _decoded(path, first, block)
                yield Lines(first, lines)
                first += len(lines)
    except OSError as error:
        raise unreadable(path, error) from error


def _decoded(path: Path, first: int, block: bytes) -> list[str]:
    if _BINARY.search(block):
        raise RecordingError(f"{path}: is not text, where a table in UTF-8 is expected")
    try:
        text = block.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = block.decode("latin-1")  # only names and the micro sign are not ASCII
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    lengths = list(map(len, lines))
    if max(lengths) > MAX_LINE_BYTES:
        line = first + lengths.index(max(lengths))
        raise RecordingError(f"{path}: line {line} is longer than {MAX_LINE_BYTES:,} characters: not a table")
    return lines


@dataclass(frozen=True, slots=True)
class Cells:
    """How a line is cut into cells."""

    delimiter: str | None  # None: spaces
    has_decimal_comma: bool

    def of(self, line: str) -> list[str]:
        return [cell.strip().strip("\"'").strip() for cell in line.split(self.delimiter)]

    def number(self, cell: str) -> float | None:
        """The number in a cell, NaN for a missing sample; None for anything else."""
        if cell.casefold() in INVALID:
            return math.nan
        try:
            value = float(cell.replace(",", ".") if self.has_decimal_comma else cell)
        except ValueError:
            return None
        return None if "_" in cell or math.isinf(value) else value

    def columns(self, path: Path, lines: Lines, wanted: Sequence[int], clock: int | None) -> NDArray[np.float64]:
        """Numbers of some columns, (rows, len(wanted)). `clock`: the column with times of day or dates, in seconds.

        Raises RecordingError with the line of a cell that is no number.
        """
        if clock is None:
            text = [line for line in lines.lines if line and not line.isspace()]
            fast = self._fast(text, wanted) if text else np.empty((0, len(wanted)))
            if fast is not None:
                return fast
        rows = [
            [self._cell(f"{path}: line {number}", cells, column, is_clock=column == clock) for column in wanted]
            for number, cells in enumerate(map(self.of, lines.lines), lines.first)
            if cells != [""] and cells
        ]
        return np.array(rows, np.float64).reshape(-1, len(wanted))

    def _fast(self, lines: list[str], wanted: Sequence[int]) -> NDArray[np.float64] | None:
        """The same for numbers only; None where a cell is anything else."""
        if self.has_decimal_comma:
            lines = "\n".join(lines).replace(",", ".").split("\n")
        try:
            numbers = np.loadtxt(
                lines, np.float64, comments=None, delimiter=self.delimiter, usecols=wanted, ndmin=2, quotechar='"'
            )
        except ValueError:
            return None
        return None if np.isinf(numbers).any() else numbers

    def _cell(self, where: str, cells: list[str], column: int, *, is_clock: bool) -> float:
        if column >= len(cells):
            raise RecordingError(f"{where} has {len(cells)} columns, where at least {column + 1} are expected")
        value = clock_seconds(cells[column]) if is_clock else self.number(cells[column])
        if value is None:
            raise RecordingError(f"{where}, column {column} is {cells[column][:40]!r}, where a number is expected")
        return value


def cells_of(lines: Sequence[str]) -> Cells:
    """How the lines of a table are cut."""
    delimiter = next((one for one in "\t;," if one in max(lines, key=len)), None)
    if delimiter is None and all(len(line.split()) == 1 for line in lines):
        return Cells(",", has_decimal_comma=False)  # one column, whose name may have spaces
    cut = [Cells(delimiter, has_decimal_comma=False).of(line) for line in lines]
    if delimiter == "," and len(cut[-1]) == len(("whole", "decimals")) and _has_padded(cut):
        return Cells(";", has_decimal_comma=True)
    cells = [cell for row in cut for cell in row]
    return Cells(delimiter, any(map(_COMMA.fullmatch, cells)) and not any(map(_POINT.fullmatch, cells)))


def _has_padded(rows: list[list[str]]) -> bool:
    """Whether a last cell is like 05: no whole number is written so, but the decimals of 0,05 are."""
    return any(len(row[-1]) > 1 and row[-1].isdecimal() and row[-1].startswith("0") for row in rows)
