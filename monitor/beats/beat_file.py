"""Files of beats: ECG5000 in its official and TensorFlow's form, and a person's own CSV, NPY or NPZ.

| form | columns | label |
|---|---|---|
| official (`.txt`, `.tsv`): divided by blanks or tabs | 141 | first column, class 1 to 5; 1 is normal |
| TensorFlow's and your own (`.csv`): divided by commas or semicolons | 141 | last column, 1 is normal, 0 is abnormal |
| NPY: a numeric array (n, 141) | 141 | last column, 1 is normal, 0 is abnormal |
| NPZ: an array (n, 140), and perhaps one of n labels | 140 | 1 is normal, 0 is abnormal |
| any of them without labels | 140 | none |

The contents decide the form, not the name of the file; gzip is unpacked. Amplitudes may have any unit. Files that
differ in a way that can be told are read as well, and a note says how; see `beat_table`, `text_table`, `label_column`.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO

from monitor.beats import array_table, beat_table, text_table
from monitor.beats.beat_table import BeatFile
from monitor.beats.label_column import CLASSES, NORMAL_CLASS, ReadingRules
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.beats.beat_table import BeatTable

__all__ = ["CLASSES", "NORMAL_CLASS", "PLAIN", "BeatFile", "ReadingRules", "read"]

ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
AS_TEXT = "save the table as CSV"
FOREIGN = {
    b"\xd0\xcf\x11\xe0": f"an Excel workbook: {AS_TEXT} in Excel",
    b"\x89HDF": "HDF5 (also MATLAB's): write the beats with numpy.save or as CSV",
    b"MATLAB": "a MATLAB file: write the beats with writematrix as CSV",
    b"PAR1": f"Parquet: {AS_TEXT}",
    b"ARROW1": f"Arrow: {AS_TEXT}",
    b"SQLite": f"a database: {AS_TEXT}",
    b"BZh": "packed with bzip2: unpack it, or pack it with gzip",
    b"\xfd7zXZ": "packed with xz: unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it, or pack it with gzip",
    b"\xff\xfe": "text in UTF-16: save it in UTF-8",
    b"\xfe\xff": "text in UTF-16: save it in UTF-8",
    b"{": f"JSON: {AS_TEXT}, a line a beat",
    b"[": f"JSON: {AS_TEXT}, a line a beat",
    b"<": f"HTML or XML: {AS_TEXT}",
    b"@": f"ARFF: {AS_TEXT}",
} | dict.fromkeys(
    (bytes((0x80, protocol)) for protocol in range(2, 6)),
    "a pickle, which can run programs: write the beats with numpy.save or as CSV",
)
PLAIN = ReadingRules()


def read(path: Path, rules: ReadingRules = PLAIN) -> BeatFile:
    """Every beat of a file, in the order of the file.

    Raises RefusedError, with file, line and column, unless each beat is 140 numbers within ±MAX_AMPLITUDE.
    """
    try:
        with path.open("rb") as file:
            return beat_table.beats(_table(path, file, rules), rules)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RefusedError(f"{path}: this is not a complete gzip file ({error})") from None
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read: {error.strerror or error}") from error


def _table(path: Path, file: BinaryIO, rules: ReadingRules) -> BeatTable:
    begin = _begin(file)
    if begin.startswith(array_table.MAGIC):
        return array_table.read(str(path), path, rules)
    if begin.startswith(ZIP):
        return _of_zip(path, file, rules)
    if not begin.startswith(GZIP):
        return _of_text(path, file, begin, rules)
    with gzip.GzipFile(fileobj=file) as unpacked:
        begin = _begin(unpacked)
        if begin.startswith(array_table.MAGIC):
            return array_table.read_packed(str(path), unpacked, rules)
        return _of_text(path, unpacked, begin, rules)


def _begin(file: BinaryIO | gzip.GzipFile) -> bytes:
    begin = file.read(8)
    file.seek(0)
    return begin


def _of_text(path: Path, file: BinaryIO | gzip.GzipFile, begin: bytes, rules: ReadingRules) -> BeatTable:
    for magic, sentence in FOREIGN.items():
        if begin.startswith(magic):
            raise RefusedError(f"{path}: this is {sentence}")
    return text_table.read(str(path), file, rules)


def _of_zip(path: Path, file: BinaryIO, rules: ReadingRules) -> BeatTable:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except array_table.DAMAGED_ZIP as error:
        raise RefusedError(f"{path}: this is not a complete zip archive ({error})") from None
    if any(name.startswith("xl/") for name in names):
        raise RefusedError(f"{path}: this is an Excel workbook: {AS_TEXT} in Excel")
    if not names or not all(name.endswith(".npy") for name in names):
        raise RefusedError(f"{path}: this is a zip archive, where CSV, TSV, text, NPY or NPZ is expected: unpack it")
    file.seek(0)
    return array_table.read_npz(str(path), file, rules)
