"""NumPy's files as tables: NPY with one array, and NPZ with an array of beats and perhaps one of labels.

What is packed is unpacked into a temporary file, up to a bound. A file is mapped, and copied into memory once its size
is checked: so neither a false header nor a small file with huge contents takes memory.
"""

from __future__ import annotations

import tempfile
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from monitor.beats import beat_table
from monitor.beats.beat import SAMPLES
from monitor.beats.beat_table import EXPECTED, LABELLED, BeatTable
from monitor.beats.text_table import MAX_NUMBERS
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.beats.label_column import ReadingRules
    from monitor.beats.text_table import ByteSource

MAGIC = b"\x93NUMPY"
MAX_BYTES = 8 * MAX_NUMBERS + 64 * 1024  # of an array and its header
# What numpy and zipfile raise about damaged headers: they evaluate and decode them.
DAMAGED = (ValueError, EOFError, TypeError, SyntaxError, KeyError, OverflowError, tokenize.TokenError)
DAMAGED_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error)
CHUNK_BYTES = 1024 * 1024
BEATS_NAMES = ("x", "beats", "data", "samples", "signals", "arr_0")
LABELS_NAMES = ("y", "labels", "label", "target", "targets", "classes", "arr_1")


def read(name: str, path: Path, rules: ReadingRules) -> BeatTable:
    """The table in an NPY file. Raises RefusedError."""
    return _table(name, _array(name, path), rules)


def read_packed(name: str, file: ByteSource, rules: ReadingRules) -> BeatTable:
    """The table in the bytes of an NPY file that were packed. Raises RefusedError."""
    return _table(name, _unpacked(name, file), rules)


def read_npz(name: str, file: BinaryIO, rules: ReadingRules) -> BeatTable:
    """The table in an NPZ file: beats, and labels if it has them. Raises RefusedError."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {Path(member.filename).stem: member for member in archive.infolist()}
            beats, labels = _chosen(name, sorted(members))
            with archive.open(members[beats]) as stream:
                found = _unpacked(f"{name}: {beats}", stream)
            if labels is None:
                return _table(f"{name}: {beats}", found, rules)
            with archive.open(members[labels]) as stream:
                return _labelled(name, found, _unpacked(f"{name}: {labels}", stream), rules)
    except DAMAGED_ZIP as error:
        raise RefusedError(f"{name}: this is not a complete zip archive ({error})") from None


def _chosen(name: str, members: list[str]) -> tuple[str, str | None]:
    """The names of the arrays with the beats and the labels. One array is the beats, whatever its name."""
    if len(members) == 1:
        return members[0], None
    beats = [each for each in members if each.lower() in BEATS_NAMES]
    labels = [each for each in members if each.lower() in LABELS_NAMES]
    if len(beats) == 1 and len(labels) <= 1 and len(members) == len(beats) + len(labels):
        return beats[0], labels[0] if labels else None
    raise RefusedError(
        f"{name}: holds {', '.join(members)[:200]}, where one array is expected, or x with the beats and y with the "
        "labels; write one of them with numpy.save"
    )


def _unpacked(name: str, packed: ByteSource) -> NDArray[np.float64]:
    """The array in packed bytes, unpacked into a temporary file. Raises RefusedError for more than MAX_BYTES."""
    size = 0
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        while chunk := packed.read(CHUNK_BYTES):
            size += len(chunk)
            if size > MAX_BYTES:
                raise RefusedError(f"{name}: more than {MAX_BYTES:,} bytes: divide it into several files")
            file.write(chunk)
        file.flush()
        return _array(name, Path(file.name))


def _array(name: str, path: Path) -> NDArray[np.float64]:
    """The array in a file, copied into memory: the file may go. Raises RefusedError if it is not one of numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED as error:
        raise RefusedError(f"{name}: not a numeric NPY array, where one is expected ({error})") from None
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2):
        raise RefusedError(f"{name}: {array.dtype} of shape {array.shape}, where numbers (n, {SAMPLES}) are expected")
    if array.size > MAX_NUMBERS:
        raise RefusedError(f"{name}: holds more than {MAX_NUMBERS:,} numbers: divide it into several files")
    with np.errstate(invalid="ignore"):  # what is no number is refused by its place later
        return np.array(array, np.float64)


def _table(name: str, array: NDArray[np.float64], rules: ReadingRules) -> BeatTable:
    if array.ndim == 1:
        raise RefusedError(f"{name}: float64 of shape {array.shape}, where numbers (n, {SAMPLES}) are expected")
    rows, width = array.shape
    if rows in (SAMPLES, LABELLED) and width not in (SAMPLES, LABELLED) and not rules.resample:
        raise RefusedError(f"{name}: shape {array.shape}: a beat in each row is expected, not in each column")
    if not rows:
        raise RefusedError(f"{name}: shape {array.shape}, where a row for each beat is expected, with {EXPECTED}")
    beat_table.check_width(f"{name}: shape {array.shape}", width, rules)
    return BeatTable(f"{name}: row", range(1, rows + 1), array)


def _labelled(name: str, beats: NDArray[np.float64], labels: NDArray[np.float64], rules: ReadingRules) -> BeatTable:
    if beats.ndim == 1 or labels.size != len(beats):
        raise RefusedError(f"{name}: beats of shape {beats.shape} and labels of shape {labels.shape} do not fit")
    table = _table(name, beats, rules)
    values = np.column_stack([table.values, labels.reshape(-1)])
    names = (*("sample" for _ in range(beats.shape[1])), "label")
    return BeatTable(table.where, table.numbers, values, names=names)
