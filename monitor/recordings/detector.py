"""Decides which peaks of a lead's envelope are heart beats, and which are T waves, P waves or noise.

`lead_filter` computes three signals at 250 Hz: `signal`, `detail` and `envelope`. Each has its own delay. A *place* is
a sample number of the envelope, counted from the start of the recording.

The *level* is the typical height of a beat in the envelope: the median of the last LEVEL_BEATS beats. A peak must reach
a share of it to be a beat. The level, the refractory time and the search for missed beats follow Pan and Tompkins
(1985). The T wave rule also uses the envelope that usually follows a beat of this lead, which is learned.

A peak below LEAST_HEIGHT is noise: a QRS complex of some 0.05 mV is that high, and white noise of 30 µV peak to valley
reaches that height about once an hour. Without this the level would fall to the noise of a lead that is off, and T
waves would be beats when it is connected again.

The rules and their other constants were chosen on MIT-BIH records 100 to 124. Decisions are made at fixed sample
numbers and look back over a fixed time, so the beats do not depend on how the signal is cut into chunks.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.recordings.lead_filter import DETAIL_DELAY, ENVELOPE_DELAY, ENVELOPE_PER_MV, RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray


def _samples(seconds: float) -> int:
    return round(seconds * RATE_HZ)


PEAK_REACH = _samples(0.08)  # a peak is the largest value within this distance on either side
PEAK_FINAL = _samples(0.18)  # a peak is examined this long after it
BEAT_FINAL = _samples(0.46)  # no later peak changes a beat after this time
START = _samples(2.0)  # signal that the first level needs
START_PIECES = 8  # seconds with peaks; the median of their maxima is the level until there are enough beats
LEAST_HEIGHT = round(0.004 * ENVELOPE_PER_MV)  # of a peak; see above
ACCEPT = 0.35  # of the level: the least height of a beat
REFRACTORY = _samples(0.2)  # a peak this close to the last beat is the same beat
# A T wave follows a beat this closely, with less than these shares of the beat's slope and height.
T_WAVE_REACH, T_WAVE_SLOPE, T_WAVE_HEIGHT = _samples(0.36), 0.5, 0.7
# The envelope is learned this far behind a beat. A peak there belongs to the beat if it is below this factor times the
# learned envelope, and below this share of the beat's height.
LEARNED_REACH, LEARNED_FACTOR, LEARNED_HEIGHT = _samples(0.62), 1.6, 0.75
LEARNED_LEAST = 4  # beats before the learned envelope counts
P_WAVE_REACH, P_WAVE_HEIGHT = _samples(0.27), 0.6  # a P wave is this close to its beat, and lower than this share of it
GAP_AT_BEAT, GAP_WAITING = 1.4, 1.8  # of the median RR: longer gaps are searched for a missed beat
MISSED = 0.2  # of the level: the least height of a missed beat
QUIET, FALL = _samples(2.5), 0.85  # after so long without a beat the level falls at each peak
LEVEL_BEATS, LEVEL_LEAST = 8, 4  # beats that make the level, at most and at least
LEVEL_LOW, LEVEL_HIGH = 0.4, 2.0  # of the level: how far one beat may move it
R_REACH = _samples(0.06)  # the R peak lies this close to the peak of the envelope, once delays are subtracted
FIRST_R = -ENVELOPE_DELAY - R_REACH  # the earliest place of R, counted from the peak of the envelope
STORED = _samples(2.2)  # older stored peaks are dropped, because a beat must come out within 3 s
LEARN_BACK = _samples(3.0)  # how far back a decision may look at the envelope
# Samples that are kept: LEARN_BACK, or STORED and a window, or STORED and the noise before a beat (1.4 s and a little);
# and what is not examined yet.
KEEP = _samples(4.0)
SLOPE_BEFORE, SLOPE_AFTER = R_REACH + 10, 10  # where the steepest step is looked for, samples around a peak
_AROUND_PEAK = np.arange(-PEAK_REACH, PEAK_REACH + 1)
_AROUND_SLOPE = np.arange(-SLOPE_BEFORE, SLOPE_AFTER)


class Peak(NamedTuple):
    """A peak of the envelope."""

    place: int
    height: float  # of the envelope
    slope: float  # steepest step of `detail` near the peak
    r: int  # the R peak if this is a beat, a sample number of `signal`


class FoundBeat(NamedTuple):
    """A beat that no later peak can change, as sample numbers of `signal`."""

    r: int
    before: int  # the R peak before it; -1 for the first beat


@dataclass(slots=True)
class Lead:
    """What is known of one lead."""

    level: float = 0.0  # typical height of a beat, see the module
    pieces: int = 0  # of `maxima` that the level was made from
    maxima: list[tuple[int, int]] = field(default_factory=list)  # number and largest envelope of the first seconds
    heights: deque[float] = field(default_factory=lambda: deque(maxlen=LEVEL_BEATS))  # of the last beats; clipped
    intervals: deque[int] = field(default_factory=lambda: deque(maxlen=LEVEL_BEATS))  # RR, in samples
    beats: list[Peak] = field(default_factory=list)  # those that are not final yet, and the last final one
    final: int = -1  # place of the last final beat
    stored: deque[Peak] = field(default_factory=deque)  # not accepted; the search may accept one later
    learned: NDArray[np.float64] = field(default_factory=lambda: np.zeros(LEARNED_REACH + 1))  # envelope after a beat
    learned_beats: int = 0  # how many beats are averaged in `learned`
    searched: int = -1  # place of the last beat after which `_search_by` searched


class BeatDetector:
    """Finds the beats of one lead."""

    def __init__(self, lead: Lead | None = None) -> None:
        self.lead = lead or Lead()
        self._first = self._now = 0
        self._envelope: NDArray[np.int64] = np.empty(0, np.int64)

    def find(self, peaks: list[Peak], first: int, envelope: NDArray[np.int64], new: int) -> list[FoundBeat]:
        """Examine new peaks in order. Returns the beats that became final.

        Index 0 of `envelope` is sample number `first`; it reaches back KEEP samples behind the peaks that were given
        before. Peaks lie at least PEAK_FINAL samples before its end. From number `new` on it was not given before.
        """
        self._first, self._envelope = first, envelope
        end = first + len(envelope)
        if len(self.lead.heights) < LEVEL_LEAST:
            self._note_maxima(new, end)
        for peak in peaks:
            self._search_by(peak.place - 1)
            self._now = peak.place
            self._examine(peak)
        self._search_by(end - PEAK_FINAL)
        return self._final(end)

    def oldest(self, examined: int) -> int | None:
        """The earliest R among the beats that are not final and the peaks that may become beats, if there is any.

        `examined`: peaks before this place were given to `find`.
        """
        peaks = [beat.r for beat in self.lead.beats if beat.place > self.lead.final]
        peaks += [peak.r for peak in self.lead.stored if peak.place > examined - STORED]
        return min(peaks, default=None)

    def _examine(self, peak: Peak) -> None:
        """Decide about one peak: it is a beat, replaces the last beat, is stored for a search, or is dropped."""
        lead = self.lead
        self._start_level(peak)
        last = lead.beats[-1] if lead.beats else None
        gap = peak.place - last.place if last else 0
        if last and lead.searched == last.place and self._is_overdue(gap, GAP_WAITING):
            self._search(peak.place)
            last = lead.beats[-1]
            gap = peak.place - last.place
        if last and gap > QUIET:
            lead.level *= FALL
        if last and gap < REFRACTORY:
            if peak.height > last.height and last.place > lead.final:
                self._replace(peak)
            return
        if peak.height < ACCEPT * lead.level or self._is_t_wave(peak):
            self._store(peak)
            return
        if self._is_overdue(gap, GAP_AT_BEAT):
            self._search(peak.place)
        self._accept(peak)

    def _store(self, peak: Peak) -> None:
        """Keep a peak that is no beat, for a later search; forget those that are too old."""
        stored = self.lead.stored
        while stored and stored[0].place <= peak.place - STORED:
            stored.popleft()
        stored.append(peak)

    def _note_maxima(self, new: int, end: int) -> None:
        """Note the largest values in seconds that are over, of the first START_PIECES that have peaks of beats."""
        maxima = self.lead.maxima
        for second in range(new // RATE_HZ, end // RATE_HZ):
            start = second * RATE_HZ - self._first
            largest = int(self._envelope[start : start + RATE_HZ].max())
            if largest >= LEAST_HEIGHT and len(maxima) < START_PIECES:
                maxima.append((second, largest))

    def _start_level(self, peak: Peak) -> None:
        """Until there are enough beats, set the level to the median of the maxima of the seconds before this peak."""
        lead = self.lead
        if len(lead.heights) >= LEVEL_LEAST or lead.pieces >= START_PIECES:
            return
        over = max(START, peak.place + PEAK_FINAL) // RATE_HZ
        maxima = [largest for second, largest in lead.maxima if second < over]
        lead.pieces = len(maxima)
        lead.level = float(_median(maxima)) if maxima else max(lead.level, peak.height)

    def _is_overdue(self, gap: int, factor: float) -> bool:
        """Whether a gap after the last beat is longer than `factor` times the median RR."""
        intervals = self.lead.intervals
        return len(intervals) >= 3 and gap > factor * _median(intervals)  # noqa: PLR2004 - a median of fewer is noise

    def _search_by(self, now: int) -> None:
        """Search for a missed beat, once after each beat, if the next one is overdue at place `now`.

        This does not wait for another peak, so a missed beat is found in time even if none follows.
        """
        lead = self.lead
        while lead.beats and lead.searched != lead.beats[-1].place:
            last = lead.beats[-1].place
            if not self._is_overdue(now - last, GAP_WAITING):
                return
            lead.searched = last
            self._now = last + math.floor(GAP_WAITING * _median(lead.intervals)) + 1
            self._search(self._now)

    def _search(self, end: int) -> None:
        """Accept the highest of the stored peaks between the last beat and `end` that may be a missed beat, if any."""
        lead = self.lead
        last = lead.beats[-1].place
        found = [
            peak
            for peak in lead.stored
            if last + REFRACTORY < peak.place < end
            and peak.place > end - STORED
            and peak.height >= MISSED * lead.level
            and peak.height > LEARNED_FACTOR * self._learned(peak.place - last)
            and not self._is_t_wave(peak)
        ]
        if found:
            self._accept(max(found, key=lambda peak: peak.height), checks_p_wave=False)

    def _learned(self, lag: int) -> float:
        """The usual height of the envelope `lag` samples after a beat; 0 while it is not known."""
        lead = self.lead
        if lead.learned_beats < LEARNED_LEAST or lag >= len(lead.learned):
            return 0.0
        return float(lead.learned[max(0, lag - 3) : lag + 4].max())

    def _is_t_wave(self, peak: Peak) -> bool:
        """Whether a peak belongs to the last beat: low and flat, or not far above the usual envelope there."""
        if not self.lead.beats:
            return False
        last = self.lead.beats[-1]
        lag = peak.place - last.place
        is_low = lag <= T_WAVE_REACH and peak.height < T_WAVE_HEIGHT * last.height
        if is_low and peak.slope < T_WAVE_SLOPE * last.slope:
            return True
        return peak.height < LEARNED_HEIGHT * last.height and peak.height < LEARNED_FACTOR * self._learned(lag)

    def _replace(self, peak: Peak) -> None:
        """Take this peak as the beat in place of the last one."""
        lead = self.lead
        lead.beats.pop()
        for column in (lead.intervals, lead.heights):
            if column:
                column.pop()
        self._accept(peak, checks_p_wave=False)

    def _accept(self, peak: Peak, *, checks_p_wave: bool = True) -> None:
        """Add a beat, and update the level and the learned envelope.

        `checks_p_wave`: the last beat is removed if it was the P wave of this one.
        """
        lead = self.lead
        if lead.beats and checks_p_wave:
            last = lead.beats[-1]
            is_near, is_low = peak.place - last.place < P_WAVE_REACH, last.height < P_WAVE_HEIGHT * peak.height
            if is_near and is_low and last.place > lead.final:
                lead.beats.pop()
        if lead.beats:
            lead.intervals.append(peak.place - lead.beats[-1].place)
        lead.beats.append(peak)
        lead.heights.append(min(max(peak.height, LEVEL_LOW * lead.level), LEVEL_HIGH * lead.level))
        if len(lead.heights) >= LEVEL_LEAST:
            lead.level = _median(lead.heights)
        lead.stored = deque(one for one in lead.stored if one.place > peak.place)
        self._learn()

    def _learn(self) -> None:
        """Average the envelope between the last two beats into `learned`."""
        lead = self.lead
        if len(lead.beats) < 2:  # noqa: PLR2004 - the two that it lies between
            return
        before, gap = lead.beats[-2], lead.beats[-1].place - lead.beats[-2].place
        if before.height <= 0.6 * lead.level or gap <= 0.3 * RATE_HZ or self._now - before.place > LEARN_BACK:
            return
        start = before.place - self._first
        if start < 0:  # only in a state that was restored from forged bytes
            return
        length = min(len(lead.learned), gap - _samples(0.12))
        weight = 1 / 8 if lead.learned_beats >= LEVEL_BEATS else 1 / (lead.learned_beats + 1)
        lead.learned[:length] += weight * (self._envelope[start : start + length] - lead.learned[:length])
        lead.learned_beats += 1

    def _final(self, end: int) -> list[FoundBeat]:
        """The beats that no later peak can change any more; each is returned once."""
        lead, found = self.lead, list[FoundBeat]()
        if not lead.beats or lead.beats[-1].place == lead.final:
            return found
        for number, beat in enumerate(lead.beats):
            if lead.final < beat.place <= end - BEAT_FINAL:
                found.append(FoundBeat(beat.r, lead.beats[number - 1].r if number else -1))
                lead.final = beat.place
        lead.beats = [beat for beat in lead.beats if beat.place >= lead.final]
        return found


def _median(values: Collection[float]) -> float:
    """The median of a few numbers, at a fourth of the cost of `statistics.median`."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def find_peaks(envelope: NDArray[np.int64], start: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and places of the peaks of envelopes (leads, m): values that are largest within 80 ms on either side.

    Of equal values only the first is a peak, and none below LEAST_HEIGHT. Places lie from `start` to PEAK_FINAL before
    the end.
    """
    width = envelope.shape[1]
    here = envelope[:, start : width - PEAK_FINAL]
    rises = here > envelope[:, start - 1 : width - PEAK_FINAL - 1]
    rises &= here >= envelope[:, start + 1 : width - PEAK_FINAL + 1]
    rises &= here >= LEAST_HEIGHT
    lead, at = rises.nonzero()  # few: a second has some ten maxima, so that only these are compared with more
    at += start
    around = envelope.take((lead * width + at)[:, None] + _AROUND_PEAK)
    is_peak = around.argmax(axis=1) == PEAK_REACH
    return lead[is_peak], at[is_peak]


def measured(
    detail: NDArray[np.int64], heights: NDArray[np.int64], lead: NDArray[np.intp], at: NDArray[np.intp], first: int
) -> list[Peak]:
    """The peaks of leads (k,) at these indices (k,) of `detail` (leads, m); index 0 is sample `first`.

    The R peak is where |detail| is largest, within R_REACH of the peak of the envelope. Delays are subtracted, because
    `envelope` lags behind `detail`, and `detail` behind `signal`.
    """
    around = detail.take((lead * detail.shape[1] + at)[:, None] + _AROUND_SLOPE)
    slopes = np.abs(around[:, 1:] - around[:, :-1]).max(axis=1)
    start = R_REACH + ENVELOPE_DELAY - DETAIL_DELAY  # samples before the peak of the envelope
    begin = SLOPE_BEFORE - start
    offset = np.abs(around[:, begin : begin + 2 * R_REACH + 1]).argmax(axis=1)
    places = at + first
    r = places + (offset - (start + DETAIL_DELAY))
    columns = (places, heights.astype(np.float64), slopes.astype(np.float64), r)
    return list(map(Peak, *(column.tolist() for column in columns)))
