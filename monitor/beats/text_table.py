"""Lines of text as a table: CSV as spreadsheets and programs write it, or columns separated by blanks.

The first line decides between semicolons, tabs, commas and blanks. Lines that begin with # are skipped, and so is a
header, also one that stands again further down, as in files that were put together.
"""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Protocol

import numpy as np

from monitor.beats import beat_table
from monitor.beats.beat import MAX_AMPLITUDE, SAMPLES
from monitor.beats.beat_table import EXPECTED, BeatTable
from monitor.beats.label_column import is_number
from monitor.errors import RefusedError
from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.beats.label_column import ReadingRules

SUFFIXES = (".csv", ".tsv", ".txt")  # of tables in text files: of beats, and of recordings
MAX_LINE_BYTES = 256 * 1024
MAX_BYTES = 4 * 1024**3  # of text, also of text out of a gzip file
MAX_NUMBERS = 64 * 1024 * 1024  # half a gigabyte; some 470,000 beats, five days of one lead
CHUNK_ROWS = 4096
BLANKS = " \r\n\f\v"  # around a line; a tab may be an empty first cell
MISSING = {"", "na", "nan", "n/a", "null", "none", "-", "?", "inf", "-inf", "+inf"}
SEPARATORS = (";", "\t", ",")  # without any of them: blanks
MAX_WORD = 80  # characters of a label
ROUNDING = 2.0  # of a step: how far times that were rounded may lie beside a straight line


class ByteSource(Protocol):
    """What bytes and lines are read from: a file, or the unpacked contents of one."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...


def read(name: str, file: ByteSource, rules: ReadingRules) -> BeatTable:
    """The table in the lines of a file. Raises RefusedError, with the line, for what is not a table of numbers."""
    lines = _Lines(name, rules)
    for number, line in _lines(name, file):
        lines.add(number, line)
    return lines.table()


def _lines(name: str, file: ByteSource) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not empty. Sizes are looked at first, so memory is bounded."""
    number, size = 0, 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number, size = number + 1, size + len(line)
        if len(line) > MAX_LINE_BYTES:
            raise RefusedError(f"{name}: line {number} is longer than {MAX_LINE_BYTES:,} bytes: not a file of beats")
        if size > MAX_BYTES:
            raise RefusedError(f"{name}: more than {MAX_BYTES:,} bytes of text: divide it into several files")
        if (text := _text(name, number, line)).strip():
            yield number, text


def _text(name: str, number: int, line: bytes) -> str:
    """The text of a line, in UTF-8 or else in Latin-1, which older programs write."""
    try:
        return line.decode("utf-8-sig").strip(BLANKS)
    except UnicodeDecodeError:
        text = line.decode("latin-1").strip(BLANKS)
    if not all(character.isprintable() or character == "\t" for character in text):
        raise RefusedError(f"{name}: line {number} is not text, where CSV, TSV, text or NPY is expected")
    return text


class _Lines:
    """Collects lines into a table."""

    def __init__(self, name: str, rules: ReadingRules) -> None:
        self._name, self._rules = name, rules
        self._form: _Form | None = None
        self._header: list[str] | None = None
        self._header_lines: list[int] = []
        self._skipped = 0  # lines that begin with #
        self._width = 0  # columns of a row; 0 before the first one
        self._rows: list[NDArray[np.float64]] = []
        self._chunks: list[NDArray[np.float64]] = []
        self._numbers: list[int] = []
        self._words: dict[int, list[str]] = {}  # column → the word of each row

    def add(self, number: int, line: str) -> None:
        """Take one line."""
        if line.startswith("#"):
            self._skipped += 1
            return
        if self._form is None:
            self._form = _Form(line)
        where = f"{self._name}: line {number}"
        cells = self._form.cells(where, line)
        row = self._row(cells)
        if _is_scale(cells if row is None else row) or (row is None and _are_names(cells)):
            self._add_header(where, number, cells)
            return
        if not self._numbers:
            self._begin(where, cells)
            row = self._row(cells)
        self._keep(number, cells, self._checked(where, cells, row))

    def table(self) -> BeatTable:
        """All rows. Raises RefusedError if there is none."""
        if not self._numbers or self._form is None:
            raise RefusedError(f"{self._name}: holds no beats, where a line a beat with {EXPECTED}, is expected")
        values = np.concatenate([*self._chunks, *([np.stack(self._rows)] if self._rows else [])])
        has_names = self._header is not None and len(self._header) == self._width
        names = tuple(self._header or ()) if has_names else None
        words = tuple((column, tuple(found)) for column, found in self._words.items())
        label_first = self._form.separator in (None, "\t")
        return BeatTable(
            f"{self._name}: line", self._numbers, values, words, names, label_first=label_first, notes=self._notes()
        )

    def _row(self, cells: list[str]) -> NDArray[np.float64] | None:
        """The numbers of a row, NaN in the columns of words; None where another cell is no number."""
        numbers = cells
        if self._words and len(cells) == self._width:
            numbers = ["nan" if place in self._words else cell for place, cell in enumerate(cells)]
        try:
            return np.array(numbers, np.float64)
        except ValueError:
            return None

    def _add_header(self, where: str, number: int, cells: list[str]) -> None:
        """Remember the first header. A repeat is skipped. Raises RefusedError for another one behind beats."""
        if self._header is None:
            self._header = cells
        elif self._numbers and cells != self._header:
            raise RefusedError(
                f"{where} is another header than line {self._header_lines[0]}: files of different columns were put "
                "together"
            )
        self._header_lines.append(number)

    def _begin(self, where: str, cells: list[str]) -> None:
        """The first row decides how many columns there are, and which of them hold words."""
        beat_table.check_width(where, len(cells), self._rules)
        self._width = len(cells)
        ends = {0, 1, len(cells) - 1}
        strange = [place for place, cell in enumerate(cells) if not is_number(cell)]
        if set(strange) <= ends and not any(cells[place].strip().lower() in MISSING for place in strange):
            self._words = {place: [] for place in strange}

    def _checked(self, where: str, cells: list[str], row: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """The row, provided that it has as many columns as the others, and numbers in them."""
        if len(cells) != self._width:
            raise RefusedError(
                f"{where} has {count_of(len(cells), 'column')}, where the lines before it have {self._width}"
            )
        strange = [place for place in self._words if len(cells[place]) > MAX_WORD]
        if row is None:
            strange = [place for place, cell in enumerate(cells) if place not in self._words and not is_number(cell)]
        if row is None or strange:
            raise RefusedError(
                f"{where}, column {strange[0] + 1} is {cells[strange[0]][:40]!r}, where a number is expected"
            )
        if (len(self._numbers) + 1) * self._width > MAX_NUMBERS:
            raise RefusedError(f"{self._name}: holds more than {MAX_NUMBERS:,} numbers: divide it into several files")
        return row

    def _keep(self, number: int, cells: list[str], row: NDArray[np.float64]) -> None:
        for place, found in self._words.items():
            found.append(sys.intern(cells[place].strip()))  # labels repeat: each is kept once
        self._rows.append(row)
        self._numbers.append(number)
        if len(self._rows) == CHUNK_ROWS:
            self._chunks.append(np.stack(self._rows))
            self._rows = []

    def _notes(self) -> tuple[str, ...]:
        notes = list[str]()
        if self._form is not None and self._form.separator == ";":
            notes.append("columns are divided by semicolons")
        if self._form is not None and self._form.has_decimal_commas:
            notes.append("numbers are written with decimal commas")
        if self._header_lines:
            again = [number for number in self._header_lines if number > self._numbers[0]]
            first = self._header_lines[: len(self._header_lines) - len(again)]
            notes += [f"line {number} is a header" for number in first[:1]]
            notes += [f"a header stands in the middle, in line {again[0]}{_and_more(again)}; skipped"] if again else []
        if self._skipped:
            verb = "begins with # and is" if self._skipped == 1 else "begin with # and are"
            notes.append(f"{count_of(self._skipped, 'line')} {verb} skipped")
        return tuple(f"{self._name}: {note}" for note in notes)


class _Form:
    """How a file divides its lines into cells, and writes its numbers. The first line decides about the separator."""

    def __init__(self, line: str) -> None:
        self.separator = next((each for each in SEPARATORS if each in line), None)
        self.has_decimal_commas = False
        self._has_points = False

    def cells(self, where: str, line: str) -> list[str]:
        """The cells of a line, with points for decimal commas."""
        if '"' not in line:
            found = line.split(self.separator)
        elif self.separator is None:
            found = line.replace('"', "").split()
        else:
            found = _unquoted(where, line, self.separator)
        if len(found) > SAMPLES and not found[-1].strip():
            found.pop()  # the line ends with a separator
        if self.separator == "," and '"' not in line:
            return found  # the commas divide columns
        return self._plain(where, line, found)

    def _plain(self, where: str, line: str, cells: list[str]) -> list[str]:
        has_commas = "," in line and any("," in cell and is_number(cell.replace(",", ".")) for cell in cells)
        self.has_decimal_commas |= has_commas
        self._has_points |= "." in line and any("." in cell and is_number(cell) for cell in cells)
        if self.has_decimal_commas and self._has_points:
            raise RefusedError(f"{where}: the file has numbers with decimal commas and others with points")
        return [cell.replace(",", ".") for cell in cells] if has_commas else cells


def _unquoted(where: str, line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as error:
        raise RefusedError(f"{where} is not a line of CSV ({error})") from None


def _are_names(cells: list[str]) -> bool:
    """Whether most cells of a line are words: names of columns."""
    names = [cell for cell in cells if not is_number(cell) and cell.strip().lower() not in MISSING]
    return len(cells) >= beat_table.LEAST_SAMPLES and len(names) > len(cells) // 2


def _is_scale(cells: list[str] | NDArray[np.float64]) -> bool:
    """Whether a line numbers the columns or holds their times: no beat rises in equal steps from end to end.

    The first two cells and the last one may belong to a label or to a column that counts the rows.
    """
    if isinstance(cells, np.ndarray) and (
        len(cells) < beat_table.LEAST_SAMPLES or not cells[2] <= cells[beat_table.LEAST_SAMPLES // 2] <= cells[-2]
    ):
        return False  # nearly every row, without much work
    try:
        inner = np.asarray(cells[2:-1], np.float64)
    except ValueError:
        return False
    if len(inner) < beat_table.LEAST_SAMPLES or not np.isfinite(inner).all() or np.abs(inner).max() > MAX_AMPLITUDE:
        return False
    steps, straight = np.diff(inner), np.linspace(inner[0], inner[-1], len(inner))
    return bool(
        (steps >= 0).all() and inner[-1] > inner[0] and np.abs(inner - straight).max() <= ROUNDING * steps.mean()
    )


def _and_more(lines: list[int]) -> str:
    return f" and in {count_of(len(lines) - 1, 'more line')}" if len(lines) > 1 else ""
