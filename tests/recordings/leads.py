"""Recordings in memory, for tests that play or cut them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.errors import RecordingError
from monitor.recordings import Annotations, Recording
from tests.recordings.test_segmenter import HZ, lead


@dataclass(frozen=True)
class MemorySignal:
    """Samples in mV, in pieces of 10 s. With `is_damaged` they end with an error."""

    samples: np.ndarray
    is_damaged: bool = False

    def pieces(self, first):
        step = int(10 * HZ)
        for start in range(first, len(self.samples), step):
            yield self.samples[start : start + step]
        if self.is_damaged:
            raise RecordingError("the file ends too early")


def recording(seconds=30.0, *, name="100", rate=75.0, start=None, symbols=None, is_damaged=False):
    """A recording of a synthetic lead, and its R peaks; `symbols`: what each beat is annotated with."""
    signal, peaks = lead(seconds, rate=rate)
    notes = None if symbols is None else Annotations(peaks, tuple(symbols[: len(peaks)]), ("",) * len(peaks))
    path = Path(f"{name}.edf")
    return Recording(path, HZ, "II", start, seconds, notes, MemorySignal(signal, is_damaged)), peaks
