"""Files of beats: ECG5000 in its official and TensorFlow's form, and a user's own CSV or NPY.

| form | columns | label |
|---|---|---|
| official (`.txt`, `.tsv`): separated by blanks or tabs | 141 | first column, class 1 to 5; 1 is normal |
| TensorFlow's and your own (`.csv`): separated by commas | 141 | last column, 1 is normal, 0 is abnormal |
| NPY: a numeric array (n, 141) | 141 | last column, 1 is normal, 0 is abnormal |
| any of them without labels | 140 | none |

The contents decide the form, not the name of the file. A header line and empty lines are skipped. Amplitudes may have
any unit.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from monitor.beats.beat import MAX_AMPLITUDE, SAMPLES
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

LABELLED = SAMPLES + 1
CLASSES = (1, 2, 3, 4, 5)  # of ECG5000: normal, R-on-T PVC, PVC, supraventricular or ectopic, unclassified
NORMAL_CLASS = 1
TENSORFLOW_LABELS = (0, 1)
MAX_LINE_BYTES = 64 * 1024
_EXPECTED = f"{SAMPLES} samples, or {LABELLED} columns with a label"


@dataclass(frozen=True, slots=True)
class BeatFile:
    """The n beats of a file."""

    samples: NDArray[np.float32]  # (n, 140)
    abnormal: NDArray[np.bool_] | None  # (n,), None without labels
    classes: NDArray[np.int8] | None  # (n,), 1 to 5, in the official form only


def read(path: Path) -> BeatFile:
    """Every beat of a file, in the order of the file.

    Raises RefusedError, with file, line and column, unless each beat is 140 numbers within ±MAX_AMPLITUDE.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(6)
            file.seek(0)
            if magic == b"\x93NUMPY":
                return _read_npy(path)
            if magic.startswith(b"PK\x03\x04"):
                raise RefusedError(f"{path}: this is a zip archive, where CSV, TSV, text or NPY is expected: unpack it")
            return _read_text(path, file)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_npy(path: Path) -> BeatFile:
    try:
        # Mapped into memory, so that a header with a false size allocates nothing.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise RefusedError(f"{path}: not a numeric NPY array, where one is expected ({error})") from None
    if array.dtype.kind not in "fiu" or array.ndim != len(("beats", "columns")):
        raise RefusedError(f"{path}: {array.dtype} of shape {array.shape}, where numbers (n, {SAMPLES}) are expected")
    if not len(array) or array.shape[1] not in (SAMPLES, LABELLED):
        raise RefusedError(f"{path}: shape {array.shape}, where a row a beat with {_EXPECTED}, is expected")
    return _beats(f"{path}: row", np.asarray(array, np.float64), range(1, len(array) + 1), label_first=False)


def _read_text(path: Path, file: BinaryIO) -> BeatFile:
    rows: list[NDArray[np.float64]] = []
    numbers: list[int] = []  # of the lines that the rows stood on
    separator = None
    for number, line in _lines(path, file):
        if not rows:
            separator = "," if "," in line else None
        cells = line.split(separator)
        if number == 1 and _is_header(cells):
            continue
        rows.append(_row(f"{path}: line {number}", cells, len(rows[0]) if rows else None))
        numbers.append(number)
    if not rows:
        raise RefusedError(f"{path}: holds no beats, where a line a beat with {_EXPECTED}, is expected")
    return _beats(f"{path}: line", np.stack(rows), numbers, label_first=separator is None)


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not empty. A line is read up to MAX_LINE_BYTES, so memory is bounded."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise RefusedError(f"{path}: line {number} is longer than {MAX_LINE_BYTES:,} bytes: not a file of beats")
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise RefusedError(f"{path}: line {number} is not text, where CSV, TSV, text or NPY is expected") from None
        if text:
            yield number, text


def _is_header(cells: list[str]) -> bool:
    """Whether a first line holds names of columns, or their numbers from 0, as pandas writes them."""
    if len(cells) not in (SAMPLES, LABELLED):
        return False
    names = [cell.strip().strip('"') for cell in cells]
    return names == [str(place) for place in range(len(cells))] or not any(map(_is_number, names))


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False


def _row(where: str, cells: list[str], width: int | None) -> NDArray[np.float64]:
    if len(cells) not in (SAMPLES, LABELLED):
        raise RefusedError(f"{where} has {len(cells)} columns, where {_EXPECTED}, are expected")
    if width not in (None, len(cells)):
        raise RefusedError(f"{where} has {len(cells)} columns, where the lines before it have {width}")
    try:
        return np.array(cells, np.float64)
    except ValueError:
        column = next(place for place, cell in enumerate(cells, 1) if not _is_number(cell))
        raise RefusedError(
            f"{where}, column {column} is {cells[column - 1][:40]!r}, where a number is expected"
        ) from None


def _beats(where: str, table: NDArray[np.float64], numbers: list[int] | range, *, label_first: bool) -> BeatFile:
    labelled = table.shape[1] == LABELLED
    first = int(labelled and label_first)
    samples = table[:, first : first + SAMPLES]
    _refuse(where, samples, numbers, first, ~(np.abs(samples) <= MAX_AMPLITUDE), f"a number within ±{MAX_AMPLITUDE:g}")
    if not labelled:
        return BeatFile(samples.astype(np.float32), None, None)
    labels = table[:, [0 if label_first else SAMPLES]]
    known, meaning = (CLASSES, "a class from 1 to 5") if label_first else (TENSORFLOW_LABELS, "the label 0 or 1")
    _refuse(where, labels, numbers, 0 if label_first else SAMPLES, ~np.isin(labels, known), meaning)
    whole = labels[:, 0].astype(np.int8)
    return BeatFile(samples.astype(np.float32), whole != NORMAL_CLASS, whole if label_first else None)


def _refuse(
    where: str,
    values: NDArray[np.float64],
    numbers: list[int] | range,
    first: int,
    wrong: NDArray[np.bool_],
    expected: str,
) -> None:
    """Raise RefusedError about the first value that is `wrong` in a block of columns, if there is one.

    The block (n, k) begins at column `first` (from 0) of the file; `numbers` are the lines or rows of its rows.
    """
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise RefusedError(
            f"{where} {numbers[row]}, column {first + column + 1} is {values[row, column]:g}, "
            f"where {expected} is expected"
        )
