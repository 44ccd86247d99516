"""Leads in, beats out: filter, detect R peaks, cut a window around each."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import compress
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.beats.window import R_CENTRED, Window
from monitor.recordings.detector import (
    FIRST_R,
    PEAK_FINAL,
    START,
    BeatDetector,
    FoundBeat,
    Peak,
    find_peaks,
    measured,
)
from monitor.recordings.lead_filter import RATE_HZ, LeadFilter
from monitor.recordings.limits import number
from monitor.recordings.noise import noise_before
from monitor.recordings.segmenter_state import Kept, StoredState, decoded, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MIN_HZ, MAX_HZ = 100.0, 20_000.0
MAX_LEADS = 10_000
LATEST_SECONDS = 3.0  # a beat comes out this long after its R peak, or a chunk later
CHUNK_SECONDS = 10.0  # signal that is processed at a time, so that memory use does not grow with the input
CHUNK_SAMPLES = 2**22  # of all leads together
TAIL_SECONDS = 1.0  # added after the end, so that the last beat becomes final


@dataclass(frozen=True, slots=True)
class Segments:
    """n beats as columns, those of one lead in the order of their times."""

    lead: NDArray[np.int64]  # (n,), row of the lead in what was fed
    time: NDArray[np.float64]  # (n,), of the R peak, seconds since the first sample that was fed
    rr: NDArray[np.float64]  # (n,), seconds since the R peak before; NaN for the first beat of a lead
    samples: NDArray[np.float32]  # (n, 140), mV, mean 0, cut by the window
    noise: NDArray[np.float32]  # (n,), before the beat: log of mV, see `noise_before`; NaN where it is not known

    def __len__(self) -> int:
        return len(self.time)


def _check_types(hz: object, leads: object, window: object) -> None:
    """Raise ValueError for anything but numbers, as the public API does for all that it cannot take."""
    if not (isinstance(hz, Real) and isinstance(leads, Integral)):
        raise ValueError(  # noqa: TRY004
            f"hz is {hz!r} and leads is {leads!r}, where a number and a whole number are expected"
        )
    if not isinstance(window, Window):
        raise ValueError(f"window is {window!r}, where a Window is expected")  # noqa: TRY004


class Segmenter:
    """Finds the beats of `leads` signals of the same rate while they come in.

    A beat comes out at most 3 s after its R peak, or a chunk later. Samples are collected for as long as this allows,
    because a second costs much less among others. The beats are the same however the samples are cut into chunks.
    """

    def __init__(self, hz: float, leads: int = 1, window: Window = R_CENTRED) -> None:
        """`hz`: samples a second, 100 to 20,000. `window`: how beats are cut; that of the model that will score them.

        Raises ValueError for another rate, for fewer than one lead or more than 10,000, and for a window from R to R.
        """
        _check_types(hz, leads, window)
        hz, leads = number(hz), int(leads)
        if not MIN_HZ <= hz <= MAX_HZ:
            raise ValueError(f"{hz:g} Hz: a rate of {MIN_HZ:g} to {MAX_HZ:g} samples a second is expected")
        if not 1 <= leads <= MAX_LEADS:
            raise ValueError(f"{leads} leads, where at least one lead is expected, and at most {MAX_LEADS:,}")
        if window.kind != "r-centred":
            raise ValueError(f"beats are cut around R here, but the window is {window}")
        self._hz, self._leads, self._window = hz, leads, window
        offsets = window.seconds_from_r * RATE_HZ  # samples of the window, counted from R: the whole part and the rest
        self._below = np.floor(offsets).astype(np.int64)
        self._fraction = offsets - self._below
        self._filter = LeadFilter(hz, leads)
        self._delay = self._filter.delay_seconds
        self._is_finished = False
        self._pending: list[NDArray[np.float64]] = []
        self._fed = 0  # samples
        self._detectors = [BeatDetector() for _ in range(leads)]
        self._waiting: list[tuple[int, FoundBeat]] = []  # lead and beat where the window is not over
        self._kept = Kept.empty(leads)
        self._due = self._next_due()

    def feed(self, samples: ArrayLike) -> Segments:
        """Add the next samples in mV, (n,) of one lead or (leads, n). Returns the beats that became final.

        NaN marks invalid samples and gaps; a window that touches one is left out. Raises ValueError for another shape,
        and for samples that are not numbers.
        """
        raw = self._checked(samples)
        if self._is_finished:
            raise ValueError("the segmenter is finished: make a new one for the next signal")
        self._pending.append(raw)
        self._fed += raw.shape[1]
        if self._fed + raw.shape[1] <= self._due * self._hz:  # another such chunk is not too late
            return joined([])
        return self._flush()

    def finish(self) -> Segments:
        """End the signal. Returns the remaining beats. After that `feed` raises ValueError."""
        self._is_finished = True
        self._pending.append(np.full((self._leads, int(TAIL_SECONDS * self._hz)), np.nan))
        return self._flush()

    def state(self) -> bytes:
        """Everything that `restore` needs to go on, some 29 KB a lead. Take it between two calls of `feed`."""
        return encoded(
            StoredState(
                self._hz,
                self._leads,
                self._window,
                np.concatenate([np.empty((self._leads, 0)), *self._pending], axis=1),
                self._filter.memory,
                self._kept,
                [detector.lead for detector in self._detectors],
                self._waiting,
                self._is_finished,
            )
        )

    @classmethod
    def restore(cls, state: bytes) -> Segmenter:
        """A segmenter that goes on where the one went that gave `state`: it finds the same beats.

        Raises ValueError, with a sentence, for bytes that are not such a state.
        """
        stored = decoded(state)
        return cls(stored.hz, stored.leads, stored.window).going_on(stored)

    def going_on(self, stored: StoredState) -> Segmenter:
        """Go on from a stored state of the same rate, leads and window; return the segmenter."""
        self._filter.memory = stored.filter
        self._kept, self._waiting = stored.kept, stored.waiting
        self._pending, self._is_finished = [stored.pending], stored.is_finished
        self._fed = stored.filter.raw_count + stored.pending.shape[1]
        self._detectors = [BeatDetector(lead) for lead in stored.detectors]
        self._due = self._next_due()
        return self

    def copy(self) -> Segmenter:
        """A segmenter with the same state, which can be fed independently."""
        return copy.deepcopy(self)

    def _flush(self) -> Segments:
        raw = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending, axis=1)
        self._pending = []
        size = max(1, min(int(CHUNK_SECONDS * self._hz), CHUNK_SAMPLES // self._leads))
        found = joined([self._feed(raw[:, start : start + size]) for start in range(0, raw.shape[1], size)])
        self._due = self._next_due()
        return found

    def _next_due(self) -> float:
        """The second of the signal by which the first beat that may still come out must have come out."""
        examined = self._kept.examined
        oldest = [max(0, examined + FIRST_R), *(beat.r for _, beat in self._waiting)]
        oldest += [r for detector in self._detectors if (r := detector.oldest(examined)) is not None]
        return min(oldest) / RATE_HZ - self._delay + LATEST_SECONDS

    def _checked(self, samples: ArrayLike) -> NDArray[np.float64]:
        try:
            given = np.ma.filled(np.ma.asarray(samples, np.float64), np.nan) if np.ma.is_masked(samples) else samples
            given = np.asarray(given)
            raw = np.array(given, np.float64) if given.dtype.kind in "iufO" else None
        except (TypeError, ValueError):
            raw = None
        if raw is None:
            raise ValueError("the samples are not numbers")
        if raw.ndim == 1 and self._leads == 1:
            raw = raw[None, :]
        if raw.ndim != 2 or raw.shape[0] != self._leads:  # noqa: PLR2004 - leads and samples
            expected = "(n,)" if self._leads == 1 else f"({self._leads}, n)"
            raise ValueError(f"samples of shape {raw.shape}, where {expected} is expected")
        return raw

    def _feed(self, raw: NDArray[np.float64]) -> Segments:
        new, end = self._filter.feed(raw), self._filter.memory.count
        known = self._kept.extended(new)
        self._kept = known.last()
        if end < START or end - PEAK_FINAL <= known.examined:
            return joined([])
        peaks, first = self._peaks(known, end), end - known.envelope.shape[1]
        seen = known.examined + PEAK_FINAL if known.examined else 0
        found = [
            (lead, beat)
            for lead, detector in enumerate(self._detectors)
            for beat in detector.find(peaks[lead], first, known.envelope[lead], seen)
        ]
        self._kept.examined = end - PEAK_FINAL
        return self._cut(known, end, found)

    def _peaks(self, known: Kept, end: int) -> list[list[Peak]]:
        """The new peaks of each lead: those up to PEAK_FINAL before the end that were not examined before."""
        width = known.envelope.shape[1]
        lead, at = find_peaks(known.envelope, known.examined - (end - width))
        peaks = measured(known.detail, known.envelope[lead, at], lead, at, end - width)
        bounds = np.searchsorted(lead, np.arange(self._leads + 1)).tolist()
        return [peaks[bounds[number] : bounds[number + 1]] for number in range(self._leads)]

    def _cut(self, known: Kept, end: int, found: list[tuple[int, FoundBeat]]) -> Segments:
        """The beats, waiting or newly found, whose windows have ended at sample `end`; the others wait on.

        Windows that begin before the first sample or touch an invalid one are left out.
        """
        start, stop = int(self._below[0]), int(self._below[-1]) + 2  # of the samples that a window needs
        beats = sorted(self._waiting + found, key=lambda one: one[0]) if self._leads > 1 else self._waiting + found
        self._waiting = [one for one in beats if one[1].r + stop > end]
        width = known.signal.shape[1]
        least = max(0, end - width) - start
        whole = [(lead, beat.r, beat.before) for lead, beat in beats if least <= beat.r <= end - stop]
        if not whole:
            return joined([])
        columns = np.array(whole, np.int64).T
        place = columns[0] * width + columns[1] - (end - width)  # of R, in all leads one after the other
        if not known.is_valid:
            is_valid = known.valid.take(place[:, None] + np.arange(start, stop)).all(axis=1)
            columns, place = columns[:, is_valid], place[is_valid]
            whole = list(compress(whole, is_valid))
        lead, r, before = columns
        at = place[:, None] + self._below
        samples = known.signal.take(at)
        samples += (known.signal.take(at + 1) - samples) * self._fraction
        samples -= np.add.reduce(samples, axis=1, keepdims=True) / SAMPLES
        rr = (r - before) / RATE_HZ
        rr[before < 0] = np.nan
        noise = noise_before(known, end, whole)
        return Segments(lead, r / RATE_HZ - self._delay, rr, samples.astype(np.float32), noise)


def joined(found: Sequence[Segments]) -> Segments:
    """The beats of several calls of `feed`, one after the other."""
    found = [one for one in found if len(one)]
    if len(found) == 1:
        return found[0]
    if not found:
        empty = np.empty((0, SAMPLES), np.float32)
        return Segments(np.empty(0, np.int64), np.empty(0), np.empty(0), empty, np.empty(0, np.float32))
    return Segments(
        np.concatenate([one.lead for one in found]),
        np.concatenate([one.time for one in found]),
        np.concatenate([one.rr for one in found]),
        np.concatenate([one.samples for one in found]),
        np.concatenate([one.noise for one in found]),
    )
