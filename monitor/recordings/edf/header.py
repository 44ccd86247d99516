"""Reads and checks headers of EDF, EDF+ and BDF files, and takes single signals out of their data records.

A file is a header of 256 bytes, another 256 for each signal, and data records: some seconds of each signal one after
the other. https://www.edfplus.info/specs/ describes EDF and EDF+; BDF has 24 bits where EDF has 16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from monitor.errors import RecordingError
from monitor.recordings.library import unreadable

BLOCK = 256  # bytes of the header, and of each signal's part
FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)  # bytes of a signal's fields, which stand together for all signals
LABEL, SIZE = 0, 8  # places in FIELDS
VERSIONS = {b"0       ": "EDF", b"\xffBIOSEMI": "BDF"}
BYTES_PER_SAMPLE = {"EDF": 2, "BDF": 3}
MAX_SIGNALS = 512
MAX_RECORD_BYTES = 2**28  # of a data record, which is read at once
MAX_RECORDS = 10**8


@dataclass(frozen=True)
class EdfHeader:
    """What is in a file, and where."""

    path: Path
    raw: bytes  # of the header
    format: str  # EDF or BDF
    is_discontinuous: bool
    records: int
    record_seconds: float
    labels: tuple[str, ...]  # of all signals, annotations included
    sizes: tuple[int, ...]  # samples a data record of each

    @cached_property
    def record_bytes(self) -> int:
        return sum(self.sizes) * BYTES_PER_SAMPLE[self.format]

    @cached_property
    def leads(self) -> tuple[int, ...]:
        """The numbers of the signals that are not annotations."""
        return tuple(number for number in range(len(self.labels)) if number not in self.annotations)

    @cached_property
    def annotations(self) -> tuple[int, ...]:
        """The numbers of the signals that are annotations."""
        name = f"{self.format} Annotations"
        return tuple(number for number, label in enumerate(self.labels) if label == name)

    def columns(self, number: int, first: int, count: int) -> bytes:
        """The bytes of one signal in `count` data records from number `first`. Raises RecordingError."""
        try:
            with self.path.open("rb") as file:
                file.seek(len(self.raw) + first * self.record_bytes)
                block = file.read(count * self.record_bytes)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(block) < count * self.record_bytes:
            raise RecordingError(f"{self.path}: became shorter while it was read")
        start, end = (sum(self.sizes[:place]) * BYTES_PER_SAMPLE[self.format] for place in (number, number + 1))
        return np.frombuffer(block, np.uint8).reshape(count, -1)[:, start:end].tobytes()

    def alone(self, number: int, records: int) -> bytes:
        """The header of a file with this signal only, and so many data records."""
        head = self.raw[:184] + b"%-8d" % (2 * BLOCK) + self.raw[192:236] + b"%-8d" % records + self.raw[244:252]
        return head + b"%-4d" % 1 + b"".join(_field(self.raw, place, number) for place in range(len(FIELDS)))


def _field(raw: bytes, place: int, number: int) -> bytes:
    """Field number `place` of FIELDS of a signal."""
    signals = len(raw) // BLOCK - 1
    start = BLOCK + sum(FIELDS[:place]) * signals + FIELDS[place] * number
    return raw[start : start + FIELDS[place]]


def is_edf(head: bytes) -> bool:
    """Whether a file that begins with these 256 bytes is EDF or BDF."""
    return head[:8] in VERSIONS and _whole(head[184:192]) == BLOCK * ((_whole(head[252:256]) or 0) + 1)


def read_edf_header(path: Path) -> EdfHeader:
    """The header of a file. Raises RecordingError if it is damaged, or if data records are missing."""
    raw, size = _raw(path)
    signals = len(raw) // BLOCK - 1
    labels = tuple(_field(raw, LABEL, number).decode("latin-1").strip() for number in range(signals))
    sizes = tuple(_whole(_field(raw, SIZE, number)) or 0 for number in range(signals))
    said, seconds = _whole(raw[236:244], lowest=-1), _number(raw[244:252])
    kind = VERSIONS[raw[:8]]
    record_bytes = sum(sizes) * BYTES_PER_SAMPLE[kind]
    if set(labels) == {f"{kind} Annotations"}:
        raise RecordingError(f"{path}: holds annotations alone and no signal: name the file with the signals")
    if not (seconds > 0 and min(sizes) > 0 and record_bytes <= MAX_RECORD_BYTES and said is not None):
        raise RecordingError(
            f"{path}: is damaged: its header says {said} data records of {seconds:g} s with {record_bytes:,} bytes"
        )
    found = (size - len(raw)) // record_bytes
    records = found if said < 0 else said  # -1 while a recorder is writing
    if not 0 < records <= min(found, MAX_RECORDS):
        raise RecordingError(
            f"{path}: is truncated: holds {found * seconds:,.1f} s of {max(said, 0) * seconds:,.1f} s: "
            "get the whole file again"
        )
    is_discontinuous = raw[192:197] == f"{kind}+D".encode()
    return EdfHeader(path, raw, kind, is_discontinuous, records, seconds, labels, sizes)


def _raw(path: Path) -> tuple[bytes, int]:
    """The bytes of the header, and the size of the file. Raises RecordingError."""
    try:
        with path.open("rb") as file:
            head = file.read(BLOCK)
            signals = _whole(head[252:256]) or 0
            if not is_edf(head) or not 0 < signals <= MAX_SIGNALS:
                raise RecordingError(f"{path}: does not begin as EDF or BDF with 1 to {MAX_SIGNALS} signals")
            raw = head + file.read(BLOCK * signals)
            size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if len(raw) < BLOCK * (signals + 1):
        raise RecordingError(f"{path}: is truncated: ends in its header: get the whole file again")
    return raw, size


def _whole(field: bytes, lowest: int = 0) -> int | None:
    """A whole number in a header; None if there is none, or a lower one."""
    try:
        value = int(field.decode("ascii"))
    except ValueError:
        return None
    return value if value >= lowest else None


def _number(field: bytes) -> float:
    """A number in a header; NaN if there is none."""
    try:
        value = float(field.decode("ascii"))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
