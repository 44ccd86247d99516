"""Opens recordings: finds out what kind of file a path is, and asks the reader of that kind."""

from __future__ import annotations

from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from types import NoneType

from monitor.beats import text_table
from monitor.errors import RecordingError
from monitor.recordings.edf.file import edf_leads, open_edf
from monitor.recordings.edf.header import BLOCK, is_edf, read_edf_header
from monitor.recordings.library import unreadable
from monitor.recordings.limits import MAX_HZ, MIN_HZ, number
from monitor.recordings.recording import Recording
from monitor.recordings.table.file import TableChoice, open_table, table_leads
from monitor.recordings.wfdb.record import open_wfdb, wfdb_leads

WFDB_SUFFIXES = (".hea", ".dat")
KNOWN = "a WFDB record (.hea and .dat), EDF, EDF+, BDF, or a table in .csv, .tsv or .txt"
RATE_TOLERANCE = 1e-3  # share by which a rate that is given may differ from that of the file


class Format(Enum):
    """Kinds of files that can be read."""

    WFDB = "WFDB"
    EDF = "EDF"
    TABLE = "table"


def open_recording(
    path: str | Path,
    *,
    lead: str | int | None = None,
    hz: float | None = None,
    column: str | int | None = None,
    unit: str | None = None,
) -> Recording:
    """One lead of a recording; its samples are read later, piece by piece.

    `lead` is a name, whatever its case, or a number from 0; None for the first lead. A name goes before a number.
    `unit` goes before that of the file. `hz` is needed for a table without times; elsewhere it must be the file's rate.
    `column`: instead of `lead`, a column of a table, by name or counted from 0. Raises RecordingError.
    """
    _check_types(path, lead, hz, column, unit)
    path = Path(path)
    hz = None if hz is None else number(hz)
    if hz is not None and not MIN_HZ <= hz <= MAX_HZ:
        raise RecordingError(
            f"{path}: cannot have {hz:g} samples a second", f"give a rate ({{hz}}) from {MIN_HZ:g} to {MAX_HZ:,.0f}"
        )
    kind = _format(path)
    if kind is Format.TABLE:
        return open_table(path, TableChoice(lead, column, hz, unit))
    if column is not None:
        raise RecordingError(f"{path}: is no table, so it has no column {column!r}", "name a {lead} instead")
    recording = open_edf(path, lead, unit) if kind is Format.EDF else open_wfdb(_header_of(path), lead, unit)
    if hz is not None and abs(hz - recording.hz) > RATE_TOLERANCE * recording.hz:
        raise RecordingError(
            f"{path}: lead {recording.lead!r} has {recording.hz:g} Hz, not {hz:g}", "leave the rate ({hz}) out"
        )
    return recording


def _check_types(
    path: object, lead: object = None, hz: object = None, column: object = None, unit: object = None
) -> None:
    """Raise RecordingError for what is of another type than `open_recording` takes."""
    expected = (
        ("path", path, (str, Path)),
        ("lead", lead, (str, Integral, NoneType)),
        ("hz", hz, (Real, NoneType)),
        ("column", column, (str, Integral, NoneType)),
        ("unit", unit, (str, NoneType)),
    )
    for name, given, types in expected:
        if not isinstance(given, types):
            raise RecordingError(f"{path}: {name} is {given!r}, of type {type(given).__name__}, which it cannot be")


def lead_names(path: str | Path) -> tuple[str, ...]:
    """The names of a recording's leads, in the order of their numbers from 0. Raises RecordingError."""
    _check_types(path)
    path = Path(path)
    kind = _format(path)
    if kind is Format.TABLE:
        return table_leads(path)
    return edf_leads(read_edf_header(path)) if kind is Format.EDF else wfdb_leads(_header_of(path))


def _format(path: Path) -> Format:
    """What kind of file a path is. Raises RecordingError if there is none, or it is of no kind that is known."""
    if "\0" in str(path):
        raise RecordingError(f"{str(path)!r}: has a zero byte, so it names no file")
    try:
        if path.suffix.lower() in WFDB_SUFFIXES or (not path.exists() and _names_a_record(path)):
            return Format.WFDB
        head = _head(path)
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: is missing") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if is_edf(head):
        return Format.EDF
    if head and path.suffix.lower() in text_table.SUFFIXES:
        return Format.TABLE
    raise RecordingError(f"{path}: {'is not a recording' if head else 'is empty'}, where {KNOWN} is expected")


def _head(path: Path) -> bytes:
    """The first bytes of a file. Raises OSError, and RecordingError for a folder or a pipe, which may never end."""
    if path.is_dir():
        raise RecordingError(f"{path}: is a folder, where a recording is expected: name a file in it")
    if path.exists() and not path.is_file():
        raise RecordingError(f"{path}: is a pipe or a device, where a recording is expected: save it as a file first")
    with path.open("rb") as file:
        return file.read(BLOCK)


def _names_a_record(path: Path) -> bool:
    """Whether a file of a WFDB record is called so, but for its suffix; the header may be missing."""
    return any(path.with_name(f"{path.name}{suffix}").is_file() for suffix in WFDB_SUFFIXES if path.name)


def _header_of(path: Path) -> Path:
    """The .hea file of a WFDB record that is given as `100`, `100.hea` or `100.dat`."""
    is_file = path.suffix.lower() in WFDB_SUFFIXES
    return path.with_suffix(".hea") if is_file else path.with_name(f"{path.name}.hea")
