"""Beats of a lead whose samples come in now, with the times of their R peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.beats.window import R_CENTRED, Window
from monitor.errors import RecordingError
from monitor.recordings.sample_clock import SampleClock
from monitor.recordings.sample_decoder import SampleDecoder
from monitor.recordings.segmenter import Segmenter, Segments


@dataclass(frozen=True, slots=True)
class LiveBeats:
    """n beats."""

    samples: NDArray[np.float32]  # (n, 140), mV
    time: NDArray[np.float64]  # (n,), of the R peak, seconds of the caller's monotonic clock; never falls
    noise: NDArray[np.float32]  # (n,), before the beat, see `Segments`; NaN where it is not known

    def __len__(self) -> int:
        return len(self.time)


class LiveSignal:
    """Takes the bytes of a signal as they come in. `now` is always the caller's monotonic clock, in seconds."""

    def __init__(self, hz: float, decoder: SampleDecoder, window: Window = R_CENTRED) -> None:
        """Raises RecordingError for a rate or a window that the segmenter does not take."""
        try:
            self._segmenter = Segmenter(hz, window=window)
        except ValueError as error:
            raise RecordingError(f"standard input: {error}") from None
        self._decoder, self._clock = decoder, SampleClock(hz)
        self._last = -np.inf  # time of the last R peak
        self.beats = 0  # so far

    @property
    def seconds(self) -> float:
        """Duration of the signal so far."""
        return self._clock.signal_seconds

    @property
    def early_seconds(self) -> float:
        """How long the caller waits before it reads on, because samples come faster than they were recorded."""
        return self._clock.early_seconds

    def feed(self, data: bytes, now: float) -> LiveBeats:
        """The beats that are found with this data. Raises RecordingError for bytes that are no samples."""
        return self._found(self._decoder.feed(data), now)

    def end_of_input(self, now: float) -> LiveBeats:
        """The beats found with the bytes that are left. Raises RecordingError if these are a part of a sample."""
        return self._found(self._decoder.finish(), now)

    def finish(self, now: float) -> LiveBeats:
        """The beats that were still waiting for later samples, also after an error. Then nothing more can be fed."""
        return self._timed(self._segmenter.finish(), now)

    def _found(self, samples: NDArray[np.float64], now: float) -> LiveBeats:
        if not len(samples):
            return LiveBeats(np.empty((0, 0), np.float32), np.empty(0), np.empty(0, np.float32))
        self._clock.came(len(samples), now)
        return self._timed(self._segmenter.feed(samples), now)

    def _timed(self, found: Segments, now: float) -> LiveBeats:
        """The beats with their times, which never fall and never lie ahead of now, although the clock is corrected."""
        if not len(found):
            return LiveBeats(found.samples, found.time, found.noise)
        time = np.minimum(self._clock.zero + found.time, now)
        time = np.maximum.accumulate(np.maximum(time, self._last))
        self._last = float(time[-1])
        self.beats += len(time)
        return LiveBeats(found.samples, time, found.noise)
