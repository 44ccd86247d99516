"""Whose recordings they are. Beats of one person must never stand on both sides of a split.

Each recording is taken for a person of its own, named as its file is. Where several recordings are of one person, a
file `patients.csv` beside them says so: a line `recording,patient` for each of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.errors import RefusedError
from monitor.recordings.folder import PATIENTS_FILE as FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEADER = ["recording", "patient"]
MAX_BYTES = 1024 * 1024
MAX_NAME = 100


def patients(folder: Path, recordings: Sequence[str]) -> tuple[str, ...]:
    """The patient of each recording, given by the name of its file without suffix.

    Raises RefusedError, with the line, if `patients.csv` cannot be read or names a recording that is not there.
    """
    listed: dict[str, str] = {}
    for where, recording, patient in _lines(folder / FILE):
        if recording not in recordings:
            raise RefusedError(f"{where} names the recording {recording!r:.40}, which is not in this folder")
        if listed.setdefault(recording, patient) != patient:
            raise RefusedError(f"{where} gives the recording {recording} to a second patient")
    return tuple(listed.get(name, name) for name in recordings)


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Place, recording and patient of each line; none if there is no file."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        where, names = f"{path}: line {number}", [cell.strip() for cell in line.split(",")]
        if names in ([""], HEADER):
            continue
        if len(names) != len(HEADER) or not all(0 < len(name) <= MAX_NAME for name in names):
            raise RefusedError(f"{where} is not a line recording,patient with names of 1 to {MAX_NAME} characters")
        yield where, names[0], names[1]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RefusedError(f"{path}: is not text, where lines recording,patient are expected") from error
    if len(content) > MAX_BYTES:
        raise RefusedError(f"{path}: has more than {MAX_BYTES:,} bytes, where lines recording,patient are expected")
    return text
