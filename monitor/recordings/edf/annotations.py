"""Annotations of EDF+ and BDF+ files, and the times at which their data records begin.

A data record holds lists: a time, byte 20, texts that each end with byte 20, and a zero byte. The first list of the
first annotation signal has no text: its time is when the data record begins. https://www.edfplus.info/specs/edfplus.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.beat_symbols import BEAT_SYMBOLS
from monitor.recordings.edf.header import BYTES_PER_SAMPLE, EdfHeader
from monitor.recordings.recording import Annotations

BEATS = BEAT_SYMBOLS | {"!"}  # and a wave of ventricular flutter: https://physionet.org/physiotools/wag/annot-6.htm
RHYTHM = "+"
TEXT_END, DURATION, LIST_END = b"\x14", b"\x15", b"\x00"
DAY_SECONDS = 86_400.0
MAX_BYTES = 2**26  # of the annotations of a file
READ_BYTES = 2**23  # of the file at a time


def beats_of(header: EdfHeader) -> Annotations | None:
    """Annotations that are codes of beats, such as N or V, or rhythms, such as (AFIB; None if there are none.

    Others say nothing about beats, and are left out. Raises RecordingError where annotations take too much memory.
    """
    start = first_time(header)
    found = sorted(
        (onset - start, text)
        for number in header.annotations
        for onset, texts in _lists(_column(header, number))
        for text in texts
        if onset >= start and (text in BEATS or text.startswith("("))
    )
    if not found:
        return None
    return Annotations(
        np.array([seconds for seconds, _ in found]),
        tuple(text if text in BEATS else RHYTHM for _, text in found),
        tuple("" if text in BEATS else text for _, text in found),
    )


def first_time(header: EdfHeader) -> float:
    """When the first sample was taken, in seconds since the start of the file, which is in whole seconds."""
    if not header.annotations:
        return 0.0
    first = next((onset for onset, _ in _lists(header.columns(header.annotations[0], 0, 1))), 0.0)
    return first if abs(first) <= DAY_SECONDS else 0.0


def record_times(header: EdfHeader) -> NDArray[np.float64]:
    """When each data record begins, in seconds (records,). Raises RecordingError where one does not say it."""
    if not header.annotations:
        raise RecordingError(f"{header.path}: is discontinuous (+D), and its data records have no times: it is damaged")
    column, width = _column(header, header.annotations[0]), _width(header, header.annotations[0])
    ends = (column.find(TEXT_END, start, start + width) for start in range(0, len(column), width))
    times = np.array([_onset(column[place * width : max(end, 0)]) for place, end in enumerate(ends)])
    if np.isnan(times).any():
        record = int(np.flatnonzero(np.isnan(times))[0])
        raise RecordingError(f"{header.path}: its data record {record} says no time: it is damaged")
    return times


def _width(header: EdfHeader, number: int) -> int:
    """Bytes of a signal in a data record."""
    return header.sizes[number] * BYTES_PER_SAMPLE[header.format]


def _column(header: EdfHeader, number: int) -> bytes:
    """All bytes of an annotation signal, read in pieces."""
    size = header.records * _width(header, number)
    if size > MAX_BYTES:
        raise RecordingError(f"{header.path}: has {size:,} bytes of annotations, where up to {MAX_BYTES:,} are read")
    step = max(1, READ_BYTES // header.record_bytes)
    starts = range(0, header.records, step)
    return b"".join(header.columns(number, start, min(step, header.records - start)) for start in starts)


def _lists(column: bytes) -> Iterator[tuple[float, list[str]]]:
    """Time and texts of each list. What is no list is left out."""
    for one in column.split(LIST_END):
        time, *texts = one.split(TEXT_END)
        onset = _onset(time.partition(DURATION)[0])
        if not math.isnan(onset):
            yield onset, [text.decode("utf-8", "replace").strip() for text in texts]


def _onset(time: bytes) -> float:
    """Seconds since the start of the file; NaN for something else."""
    try:
        seconds = float(time) if time[:1] in (b"+", b"-") else math.nan
    except ValueError:
        return math.nan
    return seconds if math.isfinite(seconds) else math.nan
