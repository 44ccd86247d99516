"""One lead of a recording, as every reader returns it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.errors import RecordingError
from monitor.recordings.limits import number

PIECE_SECONDS = 60.0  # the most that is read at a time, so that memory use does not grow with the recording


class Signal(Protocol):
    """The samples of one lead in a file."""

    def pieces(self, first: int) -> Iterator[NDArray[np.float64]]:
        """The samples from number `first` to the end, in mV, at most PIECE_SECONDS in an array; NaN where invalid."""


def minutes(samples: NDArray[np.float64], hz: float) -> Iterator[NDArray[np.float64]]:
    """The samples in arrays of at most PIECE_SECONDS."""
    step = max(1, int(PIECE_SECONDS * hz))
    return (samples[start : start + step] for start in range(0, len(samples), step))


def gap(samples: int, hz: float) -> Iterator[NDArray[np.float64]]:
    """So many invalid samples, in arrays of at most PIECE_SECONDS; none for a negative number."""
    step = max(1, int(PIECE_SECONDS * hz))
    return (np.full(min(step, samples - start), np.nan) for start in range(0, samples, step))


@dataclass(frozen=True, slots=True)
class Annotations:
    """n beats and rhythm changes, in the order of their times."""

    seconds: NDArray[np.float64]  # (n,), since the first sample
    symbols: tuple[str, ...]  # (n,), codes of WFDB: "N" a normal beat, "V" a ventricular one, "+" a change of rhythm
    notes: tuple[str, ...]  # (n,), further text such as "(AFIB"; empty where there is none


@dataclass(frozen=True, slots=True)
class Recording:
    """One lead of a recording. Its samples stay in the file until they are asked for."""

    path: Path
    hz: float  # samples a second
    lead: str  # the name in the file
    start: datetime | None  # as the recorder's clock said it, without a time zone; None where the file does not say
    seconds: float  # length
    annotations: Annotations | None  # None where the recording has none
    signal: Signal = field(repr=False, compare=False)

    def pieces(self, from_seconds: float = 0.0) -> Iterator[NDArray[np.float64]]:
        """The samples after `from_seconds` in order, mV, at most a minute in an array (n,). NaN: invalid, or a gap.

        Raises RecordingError where the file turns out to be damaged, and for `from_seconds` that is no number.
        """
        if not math.isfinite(number(from_seconds)):
            raise RecordingError(
                f"{self.path}: from_seconds is {from_seconds!r}, where a number of seconds is expected"
            )
        return self.signal.pieces(max(0, round(from_seconds * self.hz)))

    @property
    def samples(self) -> NDArray[np.float64]:
        """All samples at once (n,), mV. For short recordings: an hour at 360 Hz takes 10 MB."""
        return np.concatenate([*self.pieces(), np.empty(0)])
