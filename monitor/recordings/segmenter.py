"""Leads in, beats out: filter, detect R peaks, cut a window around each."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.beats.window import R_CENTRED, Window
from monitor.recordings.detector import KEEP, PEAK_FINAL, PEAK_REACH, START, BeatDetector, find_peaks
from monitor.recordings.lead_filter import RATE_HZ, LeadFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MIN_HZ, MAX_HZ = 100.0, 20_000.0
CHUNK_SECONDS = 10.0  # signal that is processed at a time, so that memory use does not grow with the input
LEAST_SECONDS = 0.4  # shorter chunks are collected first: they cost more and gain nothing
TAIL_SECONDS = 1.0  # added after the end, so that the last beat becomes final


@dataclass(frozen=True, slots=True)
class Segments:
    """n beats as columns, those of one lead in the order of their times."""

    lead: NDArray[np.int64]  # (n,), row of the lead in what was fed
    time: NDArray[np.float64]  # (n,), of the R peak, seconds since the first sample that was fed
    rr: NDArray[np.float64]  # (n,), seconds since the R peak before; NaN for the first beat of a lead
    samples: NDArray[np.float32]  # (n, 140), mV, mean 0, cut by the window

    def __len__(self) -> int:
        return len(self.time)


class Segmenter:
    """Finds the beats of `leads` signals of the same rate while they come in.

    A beat comes out at most 3 s after its R peak. The beats are the same however the samples are cut into chunks.
    """

    def __init__(self, hz: float, leads: int = 1, window: Window = R_CENTRED) -> None:
        """`hz`: samples a second, 100 to 20,000. `window`: how beats are cut; that of the model that will score them.

        Raises ValueError for another rate, for fewer than one lead, and for a window from R to R.
        """
        if not MIN_HZ <= hz <= MAX_HZ:
            raise ValueError(f"{hz:g} Hz: a rate of {MIN_HZ:g} to {MAX_HZ:g} samples a second is expected")
        if leads < 1:
            raise ValueError(f"{leads} leads, where at least one lead is expected")
        if window.kind != "r-centred":
            raise ValueError(f"beats are cut around R here, but the window is {window}")
        self._hz, self._leads = hz, leads
        self._offsets = window.seconds_from_r * RATE_HZ
        self._waiting: list[list[tuple[int, int]]] = [[] for _ in range(leads)]  # beats whose window is not over
        self._filter = LeadFilter(hz, leads)
        self._delay = self._filter.delay_seconds
        self._is_finished = False
        self._pending: list[NDArray[np.float64]] = []
        self._detectors = [BeatDetector() for _ in range(leads)]
        self._first = self._examined = 0  # sample numbers at 250 Hz: start of the buffers; end of the examined peaks
        self._signal = np.zeros((leads, 0))
        self._detail = np.zeros((leads, 0), np.int64)
        self._envelope = np.zeros((leads, 0), np.int64)
        self._valid = np.zeros((leads, 0), np.bool_)

    def feed(self, samples: ArrayLike) -> Segments:
        """Add the next samples in mV, (n,) of one lead or (leads, n). Returns the beats that became final.

        NaN marks invalid samples and gaps; a window that touches one is left out. Raises ValueError for another shape,
        and for samples that are not numbers.
        """
        raw = self._checked(samples)
        if self._is_finished:
            raise ValueError("the segmenter is finished: make a new one for the next signal")
        self._pending.append(raw)
        if sum(one.shape[1] for one in self._pending) < LEAST_SECONDS * self._hz:
            return joined([])
        return self._flush()

    def finish(self) -> Segments:
        """End the signal. Returns the remaining beats. After that `feed` raises ValueError."""
        self._is_finished = True
        self._pending.append(np.full((self._leads, int(TAIL_SECONDS * self._hz)), np.nan))
        return self._flush()

    def _flush(self) -> Segments:
        raw = np.concatenate(self._pending, axis=1)
        self._pending = []
        size = max(1, int(CHUNK_SECONDS * self._hz))
        return joined([self._feed(raw[:, start : start + size]) for start in range(0, raw.shape[1], size)])

    def _checked(self, samples: ArrayLike) -> NDArray[np.float64]:
        try:
            raw = np.asarray(samples, np.float64)
        except (TypeError, ValueError):
            raise ValueError("the samples are not numbers") from None
        if raw.ndim == 1 and self._leads == 1:
            raw = raw[None, :]
        if raw.ndim != 2 or raw.shape[0] != self._leads:  # noqa: PLR2004 - leads and samples
            expected = "(n,)" if self._leads == 1 else f"({self._leads}, n)"
            raise ValueError(f"samples of shape {raw.shape}, where {expected} is expected")
        return raw

    def _feed(self, raw: NDArray[np.float64]) -> Segments:
        new = self._filter.feed(raw)
        self._signal = np.concatenate([self._signal, new.signal], axis=1)
        self._detail = np.concatenate([self._detail, new.detail], axis=1)
        self._envelope = np.concatenate([self._envelope, new.envelope], axis=1)
        self._valid = np.concatenate([self._valid, new.is_valid], axis=1)
        end = self._first + self._signal.shape[1]
        if end < START or end - PEAK_FINAL <= self._examined:
            return joined([])
        found = [self._cut(lead, self._find(lead, end)) for lead in range(self._leads)]
        self._examined = end - PEAK_FINAL
        surplus = max(0, self._signal.shape[1] - KEEP)
        self._first += surplus
        self._signal, self._detail = self._signal[:, surplus:], self._detail[:, surplus:]
        self._envelope, self._valid = self._envelope[:, surplus:], self._valid[:, surplus:]
        return joined(found)

    def _find(self, lead: int, end: int) -> list[tuple[int, int]]:
        start = max(0, self._examined - self._first - PEAK_REACH - 1)
        peaks = find_peaks(self._envelope[lead, start:]) + self._first + start
        is_new = (peaks >= self._examined) & (peaks < end - PEAK_FINAL)
        return self._detectors[lead].find(self._first, self._detail[lead], self._envelope[lead], peaks[is_new].tolist())

    def _cut(self, lead: int, beats: list[tuple[int, int]]) -> Segments:
        """The windows of beats, given as sample numbers (R peak, R peak before it), that are over by now.

        Windows that begin before the buffered signal or touch an invalid sample are left out.
        """
        below = np.floor(self._offsets).astype(np.int64)
        start, stop = int(below[0]), int(below[-1]) + 2  # of the samples that a window needs
        end = self._first + self._signal.shape[1]
        beats = self._waiting[lead] + beats
        self._waiting[lead] = [beat for beat in beats if beat[0] + stop > end]
        whole = [beat for beat in beats if beat[0] + start >= self._first and beat[0] + stop <= end]
        place = np.array([beat[0] for beat in whole], np.int64)[:, None] - self._first
        is_valid = self._valid[lead][place + np.arange(start, stop)].all(axis=1)
        r, before = np.array(whole, np.int64).reshape(-1, 2)[is_valid].T
        signal, at = self._signal[lead], place[is_valid] + below
        samples = signal[at] + (signal[at + 1] - signal[at]) * (self._offsets - below)
        samples -= samples.mean(axis=1, keepdims=True)
        rr = np.where(before < 0, np.nan, (r - before) / RATE_HZ)
        return Segments(np.full(len(r), lead), r / RATE_HZ - self._delay, rr, samples.astype(np.float32))

    def copy(self) -> Segmenter:
        """A segmenter with the same state, which can be fed independently."""
        return copy.deepcopy(self)


def joined(found: Sequence[Segments]) -> Segments:
    """The beats of several calls of `feed`, one after the other."""
    found = [one for one in found if len(one)]
    if len(found) == 1:
        return found[0]
    if not found:
        return Segments(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty((0, SAMPLES), np.float32))
    return Segments(
        np.concatenate([one.lead for one in found]),
        np.concatenate([one.time for one in found]),
        np.concatenate([one.rr for one in found]),
        np.concatenate([one.samples for one in found]),
    )
