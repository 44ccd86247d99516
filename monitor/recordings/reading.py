"""Opens recordings: finds out what kind of file a path is, and asks the reader of that kind."""

from __future__ import annotations

from pathlib import Path

from monitor.errors import RecordingError
from monitor.recordings.recording import Recording
from monitor.recordings.wfdb_record import open_wfdb, wfdb_leads

WFDB_SUFFIXES = (".hea", ".dat")
KNOWN = "a WFDB record (.hea with .dat)"


def open_recording(
    path: str | Path,
    *,
    lead: str | int | None = None,
    hz: float | None = None,  # noqa: ARG001
    column: str | int | None = None,  # noqa: ARG001
    unit: str | None = None,
) -> Recording:
    """One lead of a recording; None for the first lead. Raises RecordingError."""
    return open_wfdb(_header_of(Path(path)), lead, unit)


def lead_names(path: str | Path) -> tuple[str, ...]:
    """The names of a recording's leads, in the order of their numbers from 0. Raises RecordingError."""
    return wfdb_leads(_header_of(Path(path)))


def _header_of(path: Path) -> Path:
    """The .hea file of a WFDB record that is given as `100`, `100.hea` or `100.dat`."""
    path = path.absolute()
    if "::" in str(path):
        raise RecordingError(f"{path}: has '::' in its path, which wfdb takes for an address: rename it")
    header = path.with_suffix(".hea") if path.suffix in WFDB_SUFFIXES else path.with_name(f"{path.name}.hea")
    if not header.is_file():
        raise RecordingError(f"{path}: is missing, or not a recording: {KNOWN} is expected")
    return header
