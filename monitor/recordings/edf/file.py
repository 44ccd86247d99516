"""Reads one lead of an EDF, EDF+ or BDF file. edfio decodes the samples."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.edf.annotations import beats_of, first_time, record_times
from monitor.recordings.edf.header import EdfHeader, read_edf_header
from monitor.recordings.lead_choice import chosen
from monitor.recordings.library import asked, imported
from monitor.recordings.limits import check_length, check_rate
from monitor.recordings.recording import PIECE_SECONDS, Recording, gap, minutes
from monitor.recordings.unit import EXPECTED_UNITS, mv_in

if TYPE_CHECKING:
    from edfio import Bdf, Edf

READ_BYTES = 2**23  # of the file at a time, unless a data record is larger
LEAST_GAP = 0.75  # samples; smaller differences are rounding of the times
UNKNOWN_DATE = (1985, 1, 1)  # stands for a date that was taken out


def open_edf(path: Path, lead: str | int | None, unit: str | None) -> Recording:
    """A lead of an EDF or BDF file. Raises RecordingError."""
    header = read_edf_header(path)
    number = header.leads[chosen(path, edf_leads(header), lead)]
    name = header.labels[number]
    edf = decoded(header, number)
    hz = header.sizes[number] / header.record_seconds
    check_rate(path, name, hz)
    check_length(path, name, header.records * header.record_seconds)
    stretches = _stretches(header, name, header.sizes[number])
    samples = stretches[-1].at + stretches[-1].records * header.sizes[number]
    signal = EdfPieces(header, number, _scale(path, edf, unit), hz, stretches)
    start = _start(path, edf, first_time(header))
    return Recording(path, hz, name, start, samples / hz, beats_of(header), signal)


def edf_leads(header: EdfHeader) -> tuple[str, ...]:
    """The names of the leads."""
    return tuple(header.labels[number] for number in header.leads)


def decoded(header: EdfHeader, number: int, first: int = 0, records: int = 0) -> Edf | Bdf:
    """One signal in some data records, as edfio reads it; without data records only what the header says."""
    edfio = imported(header.path, "edfio")
    read = edfio.read_edf if header.format == "EDF" else edfio.read_bdf
    content = header.alone(number, records) + (header.columns(number, first, records) if records else b"")
    edf: Edf | Bdf = asked(header.path, lambda: read(content, header_encoding="latin-1"))
    return edf


def _scale(path: Path, edf: Edf | Bdf, unit: str | None) -> float:
    """How many mV one of the signal's unit is. Raises RecordingError."""
    signal = edf.signals[0]
    name = unit or signal.physical_dimension
    factor = mv_in(name)
    if factor is None:
        raise RecordingError(f"{path}: lead {signal.label!r} has the unit {name!r}, where {EXPECTED_UNITS} is expected")
    digital, physical = asked(path, lambda: (signal.digital_range, signal.physical_range))
    if not (digital.min < digital.max and np.isfinite(physical).all() and physical.min != physical.max):
        raise RecordingError(f"{path}: lead {signal.label!r} has an empty range in its header, so it has no scale")
    return factor


def _start(path: Path, edf: Edf | Bdf, first: float) -> datetime | None:
    """When the first sample was taken, `first` seconds after the start; None if the date was taken out or is none."""
    edfio = imported(path, "edfio")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two dates that differ: edfio takes that of EDF+
            start = edf.startdatetime
    except (ValueError, edfio.AnonymizedDateError):
        return None
    return None if (start.year, start.month, start.day) == UNKNOWN_DATE else start + timedelta(seconds=first)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Data records that follow each other without a gap."""

    at: int  # sample number of the first one, gaps counted
    first: int  # number of the first data record
    records: int


def _stretches(header: EdfHeader, lead: str, size: int) -> tuple[Stretch, ...]:
    """The stretches of a lead with `size` samples a data record. Raises RecordingError where times go back."""
    if not header.is_discontinuous:
        return (Stretch(0, 0, header.records),)
    times, hz = record_times(header), size / header.record_seconds
    check_length(header.path, lead, float(times.max() - times[0]) + header.record_seconds)
    gaps = np.diff(times) * hz - size  # samples that are missing before the next data record
    if (gaps < -1).any():
        wrong = int(np.argmax(gaps < -1)) + 1
        raise RecordingError(f"{header.path}: its data record {wrong} begins before the one before it ends")
    firsts = [0, *(np.flatnonzero(gaps > LEAST_GAP) + 1).tolist(), header.records]
    places = np.rint((times - times[0]) * hz).astype(np.int64).tolist()
    return tuple(Stretch(places[first], first, end - first) for first, end in pairwise(firsts))


@dataclass(frozen=True, slots=True)
class EdfPieces:
    """One lead of a file, read piece by piece."""

    header: EdfHeader
    number: int  # of the signal
    scale: float  # mV in one of its unit
    hz: float
    stretches: tuple[Stretch, ...]

    def pieces(self, first: int) -> Iterator[NDArray[np.float64]]:
        """As `recording.Signal` says."""
        at, size = first, self.header.sizes[self.number]
        for stretch in self.stretches:
            yield from gap(stretch.at - at, self.hz)
            at = max(at, stretch.at)
            while at < stretch.at + stretch.records * size:
                record, cut = divmod(at - stretch.at, size)
                samples = self._read(stretch.first + record, min(self._step, stretch.records - record))[cut:]
                yield from minutes(samples, self.hz)
                at += len(samples)

    @property
    def _step(self) -> int:
        """Data records to read at a time."""
        return max(1, min(int(PIECE_SECONDS / self.header.record_seconds), READ_BYTES // self.header.record_bytes))

    def _read(self, first: int, records: int) -> NDArray[np.float64]:
        """The samples of some data records. What lies outside the range that the header says is invalid."""
        signal = decoded(self.header, self.number, first, records).signals[0]
        low, high = signal.digital_range
        is_valid = (signal.digital >= low) & (signal.digital <= high)
        return np.where(is_valid, signal.data * self.scale, np.nan)
