"""Reads and checks headers of WFDB records (`100.hea`), so that wfdb is asked only for what is there.

https://physionet.org/physiotools/wag/header-5.htm describes the format.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from monitor.errors import RecordingError
from monitor.recordings.library import asked, imported, unreadable

MAX_HEADER_BYTES = 2**20
MAX_LINE_BYTES = 4096  # wfdb's patterns take time that grows with the square of a line
MAX_SIGNALS = 512
MAX_FRAME = 100_000  # samples of all signals of a file in a frame
BYTES = {  # that a sample takes in a format
    **dict.fromkeys(("80",), Fraction(1)),
    **dict.fromkeys(("16", "61", "160"), Fraction(2)),
    **dict.fromkeys(("212",), Fraction(3, 2)),
    **dict.fromkeys(("310", "311"), Fraction(4, 3)),
    **dict.fromkeys(("24",), Fraction(3)),
    **dict.fromkeys(("32",), Fraction(4)),
}
COMPRESSED = ("508", "516", "524")
NO_FILE = "~"  # in place of a name: a gap, or a signal that the record does not have
RATE = 2  # place in the first line


@dataclass(frozen=True, slots=True)
class WfdbSignal:
    """One signal of a header."""

    name: str
    file: str
    format: str
    per_frame: int  # samples a frame
    skew: int
    byte_offset: int
    gain: float  # counts a unit
    has_gain: bool  # whether the file says so; else wfdb takes 200
    unit: str


@dataclass(frozen=True, slots=True)
class WfdbHeader:
    """The header of a record. It has either signals or, if it joins other records, segments."""

    path: Path  # of the .hea file
    hz: float  # frames a second
    frames: int | None
    start: datetime | None
    signals: tuple[WfdbSignal, ...]
    segments: tuple[tuple[str, int], ...]  # names and frames; empty for a record with signals of its own


def record_name(path: Path) -> str:
    """What wfdb calls the record of a .hea file. Raises RecordingError for one that it would look for in a network."""
    name = str(path.absolute())
    if "::" in name:
        raise RecordingError(f"{path}: has '::' in its path, which wfdb takes for an address: rename it")
    return name.removesuffix(".hea")


def read_header(path: Path) -> WfdbHeader:
    """The header in a .hea file. Raises RecordingError."""
    lines = _lines(path)
    _check_rate(path, lines[0] if lines else "")
    wfdb, name = imported(path, "wfdb"), record_name(path)
    raw = asked(path, lambda: wfdb.rdheader(name))
    if not (math.isfinite(raw.fs) and raw.fs > 0):
        raise RecordingError(f"{path}: says {raw.fs:g} Hz, where a rate above 0 is expected in the first line")
    segments = asked(path, lambda: tuple(zip(raw.seg_name, map(int, raw.seg_len), strict=True))) if _joins(raw) else ()
    signals = () if segments else _signals(path, raw, lines[1:])
    _check_number(path, int(raw.n_seg if segments else raw.n_sig), len(segments or signals))
    return WfdbHeader(path, float(raw.fs), raw.sig_len or None, raw.base_datetime, signals, segments)


def _check_rate(path: Path, line: str) -> None:
    """Raise RecordingError for a rate in the first line that is no number: wfdb 4.3 takes 250 Hz then."""
    fields = line.split()
    rate = re.split(r"[/(]", fields[RATE])[0] if len(fields) > RATE else ""
    if rate and not re.fullmatch(r"\d+\.?\d*|\.\d+", rate):
        raise RecordingError(f"{path}: its first line has the rate {rate!r}, where samples a second are expected")


def _joins(raw: Any) -> bool:
    return hasattr(raw, "seg_name")


def _check_number(path: Path, said: int, found: int) -> None:
    if said != found:
        raise RecordingError(f"{path}: its first line says {said} signals or segments, and {found} lines follow")


def _lines(path: Path) -> list[str]:
    """The lines of a header that are no comments. Raises RecordingError if they are too long for wfdb."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_HEADER_BYTES + 1)
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: is missing: it says what is in the other files of the record") from error
    except OSError as error:
        raise unreadable(path, error) from error
    lines = [line.strip() for line in content.decode("ascii", errors="ignore").splitlines()]
    if len(content) > MAX_HEADER_BYTES or any(len(line) > MAX_LINE_BYTES for line in lines):
        raise RecordingError(
            f"{path}: is longer than {MAX_HEADER_BYTES:,} bytes, or has a line longer than {MAX_LINE_BYTES:,}: "
            "not the header of a WFDB record"
        )
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise RecordingError(f"{path}: is empty, where the header of a WFDB record is expected")
    if len(lines) > MAX_SIGNALS + 1 and "/" not in lines[0].split()[0]:
        raise RecordingError(f"{path}: has more than {MAX_SIGNALS} signals")
    return lines


def _signals(path: Path, raw: Any, lines: list[str]) -> tuple[WfdbSignal, ...]:
    if not lines:
        return ()
    columns = zip(
        raw.sig_name, raw.file_name, raw.fmt, raw.samps_per_frame, raw.skew, raw.byte_offset, raw.adc_gain,
        map(_has_gain, lines), raw.units, strict=True,
    )  # fmt: skip
    signals = tuple(
        WfdbSignal(name or f"signal {number}", file, form, per_frame, skew or 0, offset or 0, gain, has_gain, unit)
        for number, (name, file, form, per_frame, skew, offset, gain, has_gain, unit) in enumerate(columns)
    )
    for signal in signals:
        _check_signal(path, signal, signals)
    return signals


def _has_gain(line: str) -> bool:
    """Whether a signal line has an ADC gain: a third field that is not 0."""
    field = [*line.split(maxsplit=3), "", "", ""][2].partition("(")[0].partition("/")[0]
    return field.strip("0.+-") != ""


def _check_signal(path: Path, signal: WfdbSignal, signals: tuple[WfdbSignal, ...]) -> None:
    """Refuse what wfdb cannot read, or reads wrongly, and sizes that no ECG has."""
    places = [number for number, other in enumerate(signals) if other.file == signal.file]
    frame = sum(signals[number].per_frame for number in places)
    if signal.per_frame < 1 or frame > MAX_FRAME:
        raise RecordingError(f"{path}: lead {signal.name!r} has {signal.per_frame} samples a frame")
    if not math.isfinite(signal.gain):
        raise RecordingError(f"{path}: lead {signal.name!r} has a gain of {signal.gain:g} counts a unit")
    if signal.file != NO_FILE and places[-1] - places[0] >= len(places):
        raise RecordingError(f"{path}: the signals of {signal.file} do not follow each other")
