"""The columns of a file of beats: which of them are samples, which one is the label, and which one counts the rows.

A header decides, where there is one; then what the columns hold; then their number. What is taken for granted is said
in a note, and what can be read in two ways is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats import label_column
from monitor.beats.beat import MAX_AMPLITUDE, SAMPLES
from monitor.beats.label_column import ReadingRules
from monitor.errors import RefusedError
from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LABELLED = SAMPLES + 1
EXPECTED = f"{SAMPLES} samples, or {LABELLED} columns with a label"
STRETCH = f"--resample stretches beats of another length to {SAMPLES} samples"
MOST_SPARE = 2  # columns beside the samples: one that counts the rows, and the label
LEAST_SAMPLES, MOST_SAMPLES = 30, 10_000  # that --resample stretches or shrinks
LEAST_ROWS = 6  # fewer rows do not show that a column counts them: ECG5000 has five classes
INDEX_NAMES = {"", "index", "unnamed: 0", "id", "row", "beat", "no", "no.", "nr", "nr.", "#", "number"}


@dataclass(frozen=True, slots=True)
class BeatTable:
    """Rows of numbers as a file has them, before it is known which columns are samples."""

    where: str  # what messages begin with, such as "FILE: line"
    numbers: Sequence[int]  # (n,) of the lines or rows, from 1
    values: NDArray[np.float64]  # (n, w); NaN in a column of words
    words: tuple[tuple[int, tuple[str, ...]], ...] = ()  # columns of words: their place, and a word for each row
    names: tuple[str, ...] | None = None  # of the columns, from a header
    label_first: bool = False  # where the label stands in a file of this form
    notes: tuple[str, ...] = ()

    def name(self, column: int) -> str | None:
        """The name of a column in small letters; None without a header."""
        return None if self.names is None else self.names[column].strip().lower()

    def cells(self, column: int) -> tuple[str, ...] | NDArray[np.float64]:
        """A column of words, or of numbers (n,)."""
        return dict(self.words).get(column, self.values[:, column])


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table (from 0) hold what."""

    samples: range
    label: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BeatFile:
    """The n beats of a file."""

    samples: NDArray[np.float32]  # (n, 140)
    abnormal: NDArray[np.bool_] | None  # (n,), None without labels
    classes: NDArray[np.int8] | None  # (n,), 1 to 5 as in ECG5000; None for other labels
    notes: tuple[str, ...] = ()  # what was assumed about the file, where its form leaves a choice


def beats(table: BeatTable, rules: ReadingRules) -> BeatFile:
    """The beats of a table. Raises RefusedError, with line and column, for what cannot be understood."""
    columns = _columns(table, rules)
    samples = table.values[:, columns.samples.start : columns.samples.stop]
    wrong = ~(np.abs(samples) <= MAX_AMPLITUDE)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise RefusedError(
            f"{table.where} {table.numbers[row]}, column {columns.samples.start + column + 1} is "
            f"{samples[row, column]:g}, where a number within ±{MAX_AMPLITUDE:g} is expected"
        )
    notes = [*table.notes, *columns.notes]
    if samples.shape[1] != SAMPLES:
        notes.append(_stretched(samples.shape[1]))
        samples = resampled(samples)
    if columns.label is None:
        if rules.normal_labels:
            raise RefusedError(f"{_file(table)}: --normal-label is given, but the file has no labels")
        return BeatFile(samples.astype(np.float32), None, None, tuple(notes))
    place = label_column.Place(f"{table.where} {{}}, column {columns.label + 1}", table.numbers)
    label_first = columns.label < columns.samples.start
    labels = label_column.read(place, table.cells(columns.label), rules, label_first=label_first)
    return BeatFile(samples.astype(np.float32), labels.abnormal, labels.classes, (*notes, *labels.notes))


def resampled(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beats (n, m), each stretched or shrunk in time to 140 samples by linear interpolation."""
    place = np.linspace(0, samples.shape[1] - 1, SAMPLES)
    left = np.minimum(place.astype(np.int64), samples.shape[1] - 2)
    return np.asarray(samples[:, left] + (place - left) * (samples[:, left + 1] - samples[:, left]))


def check_width(where: str, width: int, rules: ReadingRules) -> None:
    """Raise RefusedError for a number of columns that no file of beats has, before more of it is read."""
    most = MOST_SAMPLES + MOST_SPARE if rules.resample else SAMPLES + MOST_SPARE
    least = LEAST_SAMPLES if rules.resample else SAMPLES
    if least <= width <= most:
        return
    hint = "" if rules.resample or not LEAST_SAMPLES <= width <= MOST_SAMPLES else f"; {STRETCH}"
    if width == 1:
        hint = "; one number in each row is a signal and not yet beats"
    expected = f"{LEAST_SAMPLES} to {MOST_SAMPLES:,} samples" if rules.resample else EXPECTED
    raise RefusedError(f"{where} has {count_of(width, 'column')}, where {expected}, are expected{hint}")


def _columns(table: BeatTable, rules: ReadingRules) -> Columns:
    width, notes = table.values.shape[1], list[str]()
    start = int(_is_index(table))
    if start:
        notes.append("the first column counts the rows and is left out")
    label = _label(table, rules, start, width)
    if label is None:
        samples = range(start, width)
    else:
        samples = range(start + 1, width) if label == start else range(start, width - 1)
        if (label == start) != table.label_first:
            notes.append(f"the {'first' if label == start else 'last'} column is the label")
    _check(table, rules, samples)
    return Columns(samples, label, tuple(f"{_file(table)}: {note}" for note in notes))


def _check(table: BeatTable, rules: ReadingRules, samples: range) -> None:
    """Raise RefusedError unless there are as many samples as a beat has, and all of them numbers."""
    strange = [column for column, _ in table.words if column in samples]
    if strange:
        word = str(table.cells(strange[0])[0])[:40]
        where = f"{table.where} {table.numbers[0]}, column {strange[0] + 1}"
        raise RefusedError(f"{where} is {word!r}, where a number is expected")
    if len(samples) == SAMPLES or (rules.resample and len(samples) >= LEAST_SAMPLES):
        return
    width = table.values.shape[1]
    raise RefusedError(
        f"{table.where} {table.numbers[0]} has {width} columns, {len(samples)} of them samples, where {EXPECTED}, are "
        f"expected; {STRETCH}"
    )


def _is_index(table: BeatTable) -> bool:
    """Whether the first column is no sample: its name says so, or it counts the rows."""
    if table.name(0) in INDEX_NAMES:
        return True
    first = table.values[:, 0]
    return len(first) >= LEAST_ROWS and first[0].is_integer() and bool((np.diff(first) == 1).all())


def _label(table: BeatTable, rules: ReadingRules, start: int, width: int) -> int | None:
    """The column of the label, if there is one. It stands before or behind the samples."""
    ends = (start, width - 1)
    named = [column for column in ends if table.name(column) in label_column.NAMES]
    if named:
        label_column.check_name(_file(table), table.name(named[-1]) or "", rules)
        return named[-1]
    words = [column for column in ends if any(column == place for place, _ in table.words)]
    if words:
        return words[-1]
    usual, other = ends if table.label_first else ends[::-1]
    if width - start != LABELLED:
        return _unlikely_label(table, rules, usual, start)
    if not label_column.fits(table.values[:, usual], rules, first=usual == start) and label_column.tells_apart(
        table.values[:, other], rules, first=other == start
    ):
        return other
    return usual


def _unlikely_label(table: BeatTable, rules: ReadingRules, usual: int, start: int) -> int | None:
    """The label of a file without a column to spare: None, unless one column can only be a label."""
    column = table.values[:, usual]
    if label_column.is_whole(table.values[:, start + 1 : -1]) or not label_column.looks_like_labels(column):
        return None
    if rules.resample and label_column.tells_apart(column, rules, first=usual == start):
        return usual
    hint = label_column.ASK if rules.resample else STRETCH
    raise RefusedError(
        f"{_file(table)}: column {usual + 1} seems to hold labels, which leaves {table.values.shape[1] - start - 1} "
        f"samples; {hint}"
    )


def _stretched(length: int) -> str:
    return (
        f"warning: beats of {length} samples were stretched to {SAMPLES} by linear interpolation; the beats to be "
        "judged must be cut and stretched in the same way"
    )


def _file(table: BeatTable) -> str:
    return table.where.rpartition(": ")[0]
