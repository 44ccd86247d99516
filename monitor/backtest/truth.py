"""What annotations say: runs of ventricular beats, fibrillation, changes of rhythm and conduction."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np

from monitor.recordings.beat_symbols import (
    BEAT_SYMBOLS,
    FLUTTER_END,
    FLUTTER_START,
    NORMAL_SYMBOLS,
    VENTRICULAR_SYMBOLS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.recordings import Annotations

LEAST_RUN = 3  # beats
LEAST_FLUTTER_SECONDS = 5.0
RHYTHM = "+"


@dataclass(frozen=True, slots=True)
class AnnotatedRun:
    """Ventricular beats in a row, or ventricular fibrillation and flutter."""

    seconds: NDArray[np.float64]  # (k,), of its beats; of fibrillation: one a second
    beats: int  # 0 for fibrillation, whose beats are not annotated


@dataclass(frozen=True, slots=True)
class Truth:
    """What an alarm should find, and where an alarm has a cause that is no run."""

    seconds: float  # length of the recording
    runs: tuple[AnnotatedRun, ...]  # of three beats and more; fibrillation of 5 s and more
    changes: NDArray[np.float64]  # (m,), times of annotated changes of rhythm or conduction


def truth_of(annotations: Annotations, seconds: float) -> Truth:
    """What the annotations of a recording of this length say."""
    symbols, times = annotations.symbols, annotations.seconds
    is_beat = [symbol in BEAT_SYMBOLS for symbol in symbols]
    beats = [(time, symbol) for time, symbol, beat in zip(times.tolist(), symbols, is_beat, strict=True) if beat]
    groups = (list(group) for is_run, group in groupby(beats, lambda one: one[1] in VENTRICULAR_SYMBOLS) if is_run)
    runs = [
        AnnotatedRun(np.array([time for time, _ in group]), len(group)) for group in groups if len(group) >= LEAST_RUN
    ]
    normal = [(time, symbol) for time, symbol in beats if symbol in NORMAL_SYMBOLS]
    conduction = [time for (_, before), (time, symbol) in pairwise(normal) if before != symbol]
    rhythm = [time for time, symbol in zip(times.tolist(), symbols, strict=True) if symbol == RHYTHM]
    runs += _flutter(annotations, seconds)
    runs.sort(key=lambda run: float(run.seconds[0]))
    return Truth(seconds, tuple(runs), np.array(sorted(rhythm + conduction)))


def _flutter(annotations: Annotations, seconds: float) -> list[AnnotatedRun]:
    """Fibrillation and flutter of 5 s and more; one that has no end lasts to the end of the recording."""
    found, start = [], None
    for time, symbol in zip(annotations.seconds.tolist(), annotations.symbols, strict=True):
        if symbol == FLUTTER_START:
            start = time
        elif symbol == FLUTTER_END and start is not None:
            found.append((start, time))
            start = None
    if start is not None:
        found.append((start, seconds))
    return [AnnotatedRun(np.arange(start, end), 0) for start, end in found if end - start >= LEAST_FLUTTER_SECONDS]
