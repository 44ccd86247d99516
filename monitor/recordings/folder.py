"""The recordings in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.errors import RecordingError
from monitor.recordings.library import unreadable
from monitor.recordings.wfdb.header import read_header

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".hea", ".edf", ".bdf", ".rec", ".csv")  # a .dat belongs to its .hea
PATIENTS_FILE = "patients.csv"  # says whose recordings they are
MAX_RECORDINGS = 2000


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; False where the system does not let us look, or takes no such name."""
    try:
        return path.is_dir()
    except OSError:
        return False


def recordings_in(folder: Path) -> tuple[Path, ...]:
    """The recordings of a folder by name, without those that are parts of others.

    Raises RecordingError if there are too many, or the folder cannot be read. What is wrong with one of them is said
    by whoever opens it.
    """
    try:
        found = sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise unreadable(folder, error) from error
    found = [each for each in found if each.name != PATIENTS_FILE]
    if len(found) > MAX_RECORDINGS:
        raise RecordingError(f"{folder}: has {len(found):,} recordings, where at most {MAX_RECORDINGS:,} are read")
    parts = {name for each in found if each.suffix.lower() == ".hea" for name in _segments(each)}
    return tuple(each for each in found if each.stem not in parts)


def _segments(header: Path) -> tuple[str, ...]:
    """The names of the records that a header joins; none where it cannot be read."""
    try:
        return tuple(name for name, _ in read_header(header).segments)
    except RecordingError:
        return ()
