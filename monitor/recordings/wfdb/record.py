"""Reads one lead of a WFDB record (`100.hea`, `100.dat`) and its annotations (`100.atr`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.lead_choice import chosen
from monitor.recordings.library import asked, imported, unreadable
from monitor.recordings.limits import check_length, check_rate
from monitor.recordings.recording import PIECE_SECONDS, Annotations, Recording, gap
from monitor.recordings.unit import EXPECTED_UNITS, counts_per_mv, mv_in
from monitor.recordings.wfdb.header import (
    BYTES,
    COMPRESSED,
    NO_FILE,
    WfdbHeader,
    WfdbSignal,
    read_header,
    record_name,
)

MAX_FRAMES = 2**62  # far beyond the longest recording
MAX_PIECE = 2**22  # samples of all signals of a file, which wfdb decodes together
MAX_ANNOTATION_BYTES = 4 * 2**20
ANNOTATORS = ("atr", "ecg")  # extensions of annotations that people have checked


def open_wfdb(path: Path, lead: str | int | None, unit: str | None) -> Recording:
    """A lead of the record whose .hea file is `path`. Raises RecordingError."""
    header = read_header(path)
    layout = _layout(header)
    number = chosen(path, [signal.name for signal in layout.signals], lead)
    wanted = layout.signals[number]
    segments = header.segments or ((path.stem, _frames(header)),)
    frames = sum(count for _, count in segments)
    check_rate(path, wanted.name, header.hz * wanted.per_frame)
    check_length(path, wanted.name, min(frames, MAX_FRAMES) / header.hz)
    signal = WfdbPieces(path, wanted, number, header.hz, segments, unit)
    signal.check()
    return Recording(
        path=path,
        hz=header.hz * wanted.per_frame,
        lead=wanted.name,
        start=header.start,
        seconds=frames / header.hz,
        annotations=_annotations(path, header.hz),
        signal=signal,
    )


def wfdb_leads(path: Path) -> tuple[str, ...]:
    """The names of the leads of a record. Raises RecordingError."""
    return tuple(signal.name for signal in _layout(read_header(path)).signals)


def _layout(header: WfdbHeader) -> WfdbHeader:
    """The header that lists the leads: that of the first segment, or the record's own."""
    first = next((name for name, _ in header.segments if name != NO_FILE), None)
    return header if first is None else _segment_header(header.path, first)


def _segment_header(path: Path, name: str) -> WfdbHeader:
    header = read_header(path.with_name(f"{name}.hea"))
    if header.segments:
        raise RecordingError(f"{header.path}: has segments, and is itself a segment of {path.name}: join them first")
    return header


def _frames(header: WfdbHeader) -> int:
    if header.frames is None:
        raise RecordingError(
            f"{header.path}: says no number of samples: write it after the rate, as in 100 2 360 650000"
        )
    return header.frames


@dataclass(frozen=True, slots=True)
class WfdbPieces:
    """One lead of a record, read piece by piece."""

    path: Path  # of the record's .hea file
    lead: WfdbSignal  # as the first segment has it
    number: int  # of the lead, from 0
    hz: float  # frames a second
    segments: tuple[tuple[str, int], ...]  # names and frames; NO_FILE for a gap
    unit: str | None

    def check(self) -> None:
        """Refuse segments that are missing, and a first one that has no such lead or is truncated."""
        for name in {name for name, _ in self.segments if name != NO_FILE}:
            if not self.path.with_name(f"{name}.hea").is_file():
                raise RecordingError(f"{self.path}: its segment {name}.hea is missing: get the whole record again")
        first = next(((name, frames) for name, frames in self.segments if name != NO_FILE and frames), None)
        if first is not None:
            self._source(*first)

    def pieces(self, first: int) -> Iterator[NDArray[np.float64]]:
        """As `recording.Signal` says."""
        start, cut = divmod(first, self.lead.per_frame)
        for name, frames in self.segments:
            if start < frames:
                for piece in self._segment(name, start, frames):
                    yield piece[cut:]
                    cut = 0
            start = max(0, start - frames)

    def _segment(self, name: str, start: int, end: int) -> Iterator[NDArray[np.float64]]:
        """Frames of a segment, from `start` to `end`."""
        source = None if name == NO_FILE else self._source(name, end)
        if source is None:
            yield from gap((end - start) * self.lead.per_frame, self.hz * self.lead.per_frame)
            return
        for at in range(start, end, source.step):
            yield source.read(at, min(at + source.step, end))

    def _source(self, name: str, frames: int) -> WfdbSource | None:
        """Where the lead is in a segment of so many frames; None if the segment does not have it."""
        header = _segment_header(self.path, name)
        number = self._number(header)
        signal = None if number is None else header.signals[number]
        if number is None or signal is None or signal.file == NO_FILE:
            return None
        if (header.hz, signal.per_frame) != (self.hz, self.lead.per_frame):
            raise RecordingError(
                f"{header.path}: lead {self.lead.name!r} has another rate here than in {self.path.name}"
            )
        return WfdbSource(header, number, self._scale(header.path, signal)).checked(frames)

    def _number(self, header: WfdbHeader) -> int | None:
        """The number of the lead in a segment; None if the segment may lack it, and does.

        Raises RecordingError for a missing lead in a record whose segments all have the same leads.
        """
        names = [signal.name for signal in header.signals]
        if self.segments[0][1] > 0 and names[self.number : self.number + 1] == [self.lead.name]:
            return self.number  # also where names are empty, or occur twice
        if names.count(self.lead.name) == 1:
            return names.index(self.lead.name)
        if self.segments[0][1] > 0:
            raise RecordingError(f"{header.path}: has no lead {self.lead.name!r}, as the first segment does")
        return names.index(self.lead.name) if self.lead.name in names else None

    def _scale(self, path: Path, signal: WfdbSignal) -> float:
        """How many mV one of what wfdb returns is: counts, divided by the gain or by 200 where the file has none."""
        unit = self.unit or signal.unit
        factor = mv_in(unit)
        if factor is None:
            raise RecordingError(
                f"{path}: lead {self.lead.name!r} has the unit {unit!r}, where {EXPECTED_UNITS} is expected"
            )
        if counts_per_mv(unit) is not None:
            return factor * signal.gain
        if not signal.has_gain:
            raise RecordingError(
                f"{path}: lead {self.lead.name!r} has counts without a gain",
                "say by {unit} how many are 1 mV: adc/N, such as adc/200",
            )
        return factor


@dataclass(frozen=True, slots=True)
class WfdbSource:
    """One signal of a record that has no segments."""

    header: WfdbHeader
    number: int  # of the signal
    scale: float  # mV in one of what wfdb returns

    @property
    def signal(self) -> WfdbSignal:
        return self.header.signals[self.number]

    @property
    def data(self) -> Path:
        return self.header.path.with_name(self.signal.file)

    @property
    def frame(self) -> int:
        """Samples a frame of all signals in the file."""
        return sum(signal.per_frame for signal in self.header.signals if signal.file == self.signal.file)

    @property
    def step(self) -> int:
        """Frames to read at a time."""
        return max(1, min(int(PIECE_SECONDS * self.header.hz), MAX_PIECE // self.frame))

    def checked(self, frames: int) -> WfdbSource:
        """The same source. Raises RecordingError if its file holds fewer frames, or wfdb would read it wrongly."""
        self._check_format()
        if _frames(self.header) < frames:
            raise RecordingError(
                f"{self.header.path}: has {self.header.frames:,} frames, where {frames:,} are expected"
            )
        try:
            size = self.data.stat().st_size - self.signal.byte_offset
        except OSError as error:
            reason = "is missing: put it beside" if isinstance(error, FileNotFoundError) else "cannot be read beside"
            raise RecordingError(f"{self.data}: {reason} {self.header.path.name}") from error
        size_of_sample = BYTES.get(self.signal.format, Fraction(0))
        if size < int(frames * self.frame * size_of_sample):
            found = max(0, size) / (self.frame * size_of_sample * Fraction(self.header.hz))
            raise RecordingError(
                f"{self.data}: is truncated: holds {float(found):.1f} s of {frames / self.header.hz:.1f} s for lead "
                f"{self.signal.name!r}: get the whole file again"
            )
        if self.signal.format in COMPRESSED:
            self.read(frames - 1, frames)  # fails where the end of the file is missing
        return self

    def _check_format(self) -> None:
        lead = f"{self.header.path}: lead {self.signal.name!r}"
        if self.signal.format not in BYTES and self.signal.format not in COMPRESSED:
            raise RecordingError(f"{lead} has the format {self.signal.format}, which cannot be read: convert it to 16")
        others = [signal for signal in self.header.signals if signal.file == self.signal.file]
        if any((other.format, other.byte_offset) != (self.signal.format, self.signal.byte_offset) for other in others):
            raise RecordingError(f"{lead} shares {self.signal.file} with signals of another format: split the file")
        if any(other.skew for other in others):
            raise RecordingError(f"{lead} is skewed against other signals, which cannot be read: remove the skew first")

    def read(self, start: int, end: int) -> NDArray[np.float64]:
        """Samples of frames `start` to `end`, in mV."""
        wfdb, name = imported(self.header.path, "wfdb"), record_name(self.header.path)
        record = asked(
            self.data,
            lambda: wfdb.rdrecord(name, sampfrom=start, sampto=end, channels=[self.number], smooth_frames=False),
            f"lead {self.signal.name!r} from {start / self.header.hz:.1f} s to {end / self.header.hz:.1f} s",
        )
        samples: NDArray[np.float64] = record.e_p_signal[0] * self.scale
        return samples


def _annotations(path: Path, frame_hz: float) -> Annotations | None:
    """Annotations of a record, from the first of ANNOTATORS that it has."""
    stem = str(path).removesuffix(".hea")
    extension = next((one for one in ANNOTATORS if Path(f"{stem}.{one}").is_file()), None)
    if extension is None:
        return None
    file = Path(f"{stem}.{extension}")
    _check_annotations(file)
    wfdb, name = imported(path, "wfdb"), record_name(path)
    found = asked(file, lambda: wfdb.rdann(name, extension))
    seconds = np.asarray(found.sample, np.float64) / (found.fs or frame_hz)
    if not np.all(np.isfinite(seconds) & (seconds >= 0)):
        raise RecordingError(f"{file}: has annotations before the first sample: it is damaged")
    order = np.argsort(seconds, kind="stable")
    symbols, notes = list(found.symbol), list(found.aux_note)
    return Annotations(
        seconds[order],
        tuple(symbol if isinstance(symbol := symbols[place], str) else "" for place in order),
        tuple(notes[place].rstrip("\0") for place in order),
    )


def _check_annotations(path: Path) -> None:
    """Refuse a file that is truncated or larger than any annotations are, which would take much memory."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 2))
            end = file.read(2)
    except OSError as error:
        raise unreadable(path, error) from error
    if size % 2 or end != b"\0\0":
        raise RecordingError(
            f"{path}: is truncated: get it again, or take it away to read the record without annotations"
        )
    if size > MAX_ANNOTATION_BYTES:
        raise RecordingError(f"{path}: is {size:,} bytes, where annotations have up to {MAX_ANNOTATION_BYTES:,}")
