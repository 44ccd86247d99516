"""The samples of a live signal, from the bytes of a stream."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError

MAX_LINE_BYTES = 256
SHOWN = 40  # characters of a wrong line
INVALID_INT16 = -32768  # an invalid sample, as in WFDB's format 16

SampleForm = Literal["text", "int16", "float32"]


class SampleDecoder(Protocol):
    """Bytes in, samples out. A sample may be cut anywhere."""

    def feed(self, data: bytes) -> NDArray[np.float64]:
        """The samples (n,) that are complete now, in mV; NaN where invalid. Raises RecordingError."""

    def finish(self) -> NDArray[np.float64]:
        """What is left at the end. Raises RecordingError where that is a part of a sample."""


def decoder(form: SampleForm, mv_per_unit: float) -> SampleDecoder:
    """The decoder of a form; its numbers times `mv_per_unit` are mV."""
    return TextDecoder(mv_per_unit) if form == "text" else BinaryDecoder(form, mv_per_unit)


class BinaryDecoder:
    """Little-endian numbers without anything between them. An int16 of -32768 is an invalid sample."""

    def __init__(self, form: Literal["int16", "float32"], mv_per_unit: float) -> None:
        self._form, self._mv_per_unit = form, mv_per_unit
        self._type = np.dtype("<i2" if form == "int16" else "<f4")
        self._left = b""
        self._count = 0

    def feed(self, data: bytes) -> NDArray[np.float64]:
        data = self._left + data
        whole = len(data) - len(data) % self._type.itemsize
        self._left = data[whole:]
        raw = np.frombuffer(data[:whole], self._type)
        self._count += len(raw)
        samples = raw.astype(np.float64) * self._mv_per_unit
        if self._form == "int16":
            samples[raw == INVALID_INT16] = np.nan
        return samples

    def finish(self) -> NDArray[np.float64]:
        if self._left:
            raise RecordingError(
                f"standard input ended in the middle of a sample: after {self._count:,} samples came "
                f"{len(self._left)} of {self._type.itemsize} bytes: check --input {self._form}, and whether the sender "
                "was cut off"
            )
        return np.empty(0)


class TextDecoder:
    """One number on a line, with a decimal point; `nan` is an invalid sample. Empty lines do not count."""

    def __init__(self, mv_per_unit: float) -> None:
        self._mv_per_unit = mv_per_unit
        self._left = b""
        self._line = 0  # number of the last complete line

    def feed(self, data: bytes) -> NDArray[np.float64]:
        *lines, self._left = (self._left + data).split(b"\n")
        samples = self._decoded(lines)
        self._line += len(lines)
        if len(self._left) > MAX_LINE_BYTES:
            raise RecordingError(
                f"line {self._line + 1} of standard input is longer than {MAX_LINE_BYTES} bytes, where one number is "
                "expected: check --input text"
            )
        return samples

    def finish(self) -> NDArray[np.float64]:
        left, self._left = self._left, b""
        return self._decoded([left])

    def _decoded(self, lines: list[bytes]) -> NDArray[np.float64]:
        try:
            return np.array([float(line) for line in lines if not line.isspace() and line]) * self._mv_per_unit
        except ValueError:
            raise self._refusal(lines) from None

    def _refusal(self, lines: list[bytes]) -> RecordingError:
        place, line = next((place, line) for place, line in enumerate(lines) if line.strip() and not _is_number(line))
        shown = line.strip().decode(errors="replace")[:SHOWN]
        return RecordingError(
            f"line {self._line + place + 1} of standard input is {shown!r}, where one number with a decimal point is "
            "expected"
        )


def _is_number(line: bytes) -> bool:
    try:
        float(line)
    except ValueError:
        return False
    return True
