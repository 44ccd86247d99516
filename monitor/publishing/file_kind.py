"""Tells a recording from a file of beats, by its name and its first line."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.beats.beat import SAMPLES

RECORDING_SUFFIXES = (".hea", ".dat", ".edf", ".bdf", ".rec")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
HEAD_BYTES = 64 * 1024


def is_recording(path: Path) -> bool:
    """Whether a path names a recording.

    Beats have a column for each of their samples. A table with less than half as many columns is a recording. A WFDB
    record may be named without the suffix of its files.
    """
    suffix = path.suffix.lower()
    if is_named_as_recording(path):
        return True
    if not path.exists():
        return not suffix
    return suffix in TABLE_SUFFIXES and 0 < _columns(path) < SAMPLES // 2


def is_named_as_recording(path: Path) -> bool:
    """Whether a name alone tells a recording: by its suffix, or because a WFDB header has the same name."""
    return path.suffix.lower() in RECORDING_SUFFIXES or path.with_name(f"{path.name}.hea").is_file()


def _columns(path: Path) -> int:
    """Columns of the first line; 0 where there is none."""
    try:
        with path.open("rb") as file:
            lines = file.read(HEAD_BYTES).split(b"\n")
    except OSError:
        return 0
    first = next((line for line in lines if line.strip()), b"").strip()
    return len(re.split(rb"[,;]|[ \t]+", first)) if first else 0
