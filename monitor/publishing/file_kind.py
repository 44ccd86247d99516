"""Tells a recording from a file of beats, by its name and its first line."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.beats import text_table
from monitor.beats.beat import SAMPLES

RECORDING_SUFFIXES = (".hea", ".dat", ".edf", ".bdf", ".rec")
HEAD_BYTES, EDF_BYTES = 64 * 1024, 256


def is_recording(path: Path) -> bool:
    """Whether a path names a recording.

    Beats have a column for each of their samples. A table with less than half as many columns is a recording. A WFDB
    record may be named without the suffix of its files, and EDF and BDF are known by their content. A path that cannot
    be looked at counts by its suffix: whoever opens it says what is wrong.
    """
    suffix = path.suffix.lower()
    if is_named_as_recording(path):
        return True
    if not _exists(path):
        return not suffix
    from monitor.recordings.edf.header import is_edf  # noqa: PLC0415 - most commands look at no recording

    head = _head(path)
    if is_edf(head[:EDF_BYTES]):
        return True
    return suffix in text_table.SUFFIXES and 0 < _columns(head) < SAMPLES // 2


def is_named_as_recording(path: Path) -> bool:
    """Whether a name alone tells a recording: by its suffix, or because a WFDB header has the same name."""
    if path.suffix.lower() in RECORDING_SUFFIXES:
        return True
    return bool(path.name) and _exists(path.with_name(f"{path.name}.hea"))


def _exists(path: Path) -> bool:
    """Whether there is something; False where the system does not let us look, or takes no such name."""
    try:
        return path.exists()
    except OSError:
        return False


def _head(path: Path) -> bytes:
    """The first bytes of a file; nothing where it cannot be read, nor of a pipe, which would lose them."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _columns(head: bytes) -> int:
    """Columns of the first line of a file that begins so; 0 where there is none."""
    first = next((line for line in head.split(b"\n") if line.strip()), b"").strip()
    return len(re.split(rb"[,;]|[ \t]+", first)) if first else 0
