"""The noise of a lead before each of its beats: how much it moves where no heart beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.recordings.lead_filter import DETAIL_DELAY, DETAIL_PER_MV, RATE_HZ, LeadFilter
from monitor.recordings.recording import PIECE_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

AFTER, BEFORE, MOST = round(0.4 * RATE_HZ), round(0.2 * RATE_HZ), round(1.2 * RATE_HZ)  # samples at 250 Hz
LEAST = 15  # samples; fewer between two beats say nothing about noise
KEPT = round((PIECE_SECONDS + 10) * RATE_HZ)  # samples before a piece: its first beats may be older than the piece


class LeadNoise:
    """The noise of one lead, which comes in pieces of at most PIECE_SECONDS."""

    def __init__(self, hz: float) -> None:
        self._filter = LeadFilter(hz)
        self._delay = self._filter.delay_seconds
        self._squares = np.empty(0)  # of the last samples at 250 Hz, mV²
        self._end = 0  # samples at 250 Hz so far
        self._last: int | None = None  # sample of the last R peak

    def feed(self, piece: NDArray[np.float64]) -> None:
        """Add the next samples (n,), mV; NaN where invalid."""
        if not len(piece):
            return
        detail = self._filter.feed(piece[None]).detail[0] / DETAIL_PER_MV
        self._squares = np.concatenate([self._squares[-KEPT:], detail * detail])
        self._end += len(detail)

    def before(self, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        """Log of the rms of the filter's `detail` in mV before each of the next beats (n,), by the times of their R.

        From 0.4 s after the beat before it to 0.2 s before it, at most 1.2 s. NaN where it is not known.
        """
        if not len(seconds):
            return np.empty(0, np.float32)
        r = np.rint((seconds + self._delay) * RATE_HZ).astype(np.int64) + DETAIL_DELAY
        earlier = np.concatenate([r[:1] if self._last is None else [self._last], r[:-1]])
        self._last = int(r[-1])
        end = r - BEFORE
        length = np.minimum(end - earlier - AFTER, MOST)
        distance = np.arange(-MOST, 0)  # a row has the same length for all beats, so that all pieces give the same sum
        place = end[:, None] + distance - (self._end - len(self._squares))
        squares = np.where(distance >= -length[:, None], self._squares.take(place, mode="clip"), 0.0)
        mean = squares.sum(axis=1) / np.maximum(length, 1)
        is_known = (length >= LEAST) & (mean > 0)
        noise = np.full(len(seconds), np.nan, np.float32)
        noise[is_known] = 0.5 * np.log(mean[is_known])
        return noise
