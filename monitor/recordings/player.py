"""Plays recordings: the beats of several leads in the order of their times, each at its time or faster."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitor.beats.window import R_CENTRED, Window
from monitor.errors import RecordingError
from monitor.recordings.beat_symbols import BeatSymbols
from monitor.recordings.recording import Recording
from monitor.recordings.segmenter import MAX_HZ, MIN_HZ, Segmenter, Segments

EPOCH_YEAR = 1970  # Kafka's timestamps count from its beginning


@dataclass(frozen=True, slots=True)
class Bed:
    """A lead that is played under the name of a source. `start_ms`: time of its first sample, ms since the epoch."""

    source: str
    recording: Recording
    start_ms: int

    @property
    def end_ms(self) -> int:
        """Time of the end of its recording."""
        return self.start_ms + round(1000 * self.recording.seconds)


@dataclass(frozen=True, slots=True)
class PlayedBeat:
    """One beat of a bed."""

    bed: Bed
    time_ms: int  # of the R peak, ms since the epoch
    samples: NDArray[np.float32] = field(repr=False)  # (140,), mV
    symbol: str  # code of the annotation near it; empty where there is none
    noise: float  # before it, see `Segments`; NaN where it is not known


def play(beds: Sequence[Bed], window: Window = R_CENTRED) -> Iterator[PlayedBeat]:
    """The beats of all beds in the order of their times. Memory does not grow with the recordings.

    Raises RecordingError at once for a rate or a window that cannot be cut, and later where a file is damaged.
    """
    cutters = [segmenter_of(bed.recording, window) for bed in beds]
    leads = [_beats(bed, cutter) for bed, cutter in zip(beds, cutters, strict=True)]
    return heapq.merge(*leads, key=lambda beat: beat.time_ms)


def segmenter_of(recording: Recording, window: Window) -> Segmenter:
    """A segmenter for the lead of a recording. Raises RecordingError for a rate or a window that cannot be cut."""
    if not MIN_HZ <= recording.hz <= MAX_HZ:
        raise RecordingError(
            f"{recording.path}: lead {recording.lead!r} has {recording.hz:g} samples a second (Hz), where {MIN_HZ:g} "
            f"to {MAX_HZ:,.0f} are expected",
            "choose another {lead}, or a recording with such a rate",
        )
    try:
        return Segmenter(recording.hz, window=window)
    except ValueError as error:
        raise RecordingError(f"{recording.path}: {error}") from None


def _beats(bed: Bed, segmenter: Segmenter) -> Iterator[PlayedBeat]:
    annotations = bed.recording.annotations
    symbols = None if annotations is None else BeatSymbols(annotations)
    for found in segments_of(bed.recording, segmenter):
        for seconds, samples, noise in zip(found.time.tolist(), found.samples, found.noise.tolist(), strict=True):
            symbol = "" if symbols is None else symbols.near(seconds)
            yield PlayedBeat(bed, bed.start_ms + round(1000 * seconds), samples, symbol, noise)


def segments_of(recording: Recording, segmenter: Segmenter) -> Iterator[Segments]:
    """All beats of a recording, those of at most a minute at a time. Raises RecordingError where it is damaged."""
    for piece in recording.pieces():
        yield segmenter.feed(piece)
    yield segmenter.finish()


@dataclass(frozen=True, slots=True)
class Timetable:
    """When beats are due. `speed`: 1 as it happened, 2 twice as fast, infinity as fast as possible."""

    first_ms: int  # time of the first sample of all beds, ms since the epoch
    last_ms: int  # time of the last one
    speed: float

    @classmethod
    def of(cls, beds: Sequence[Bed], speed: float) -> Timetable:
        """The timetable of all beds, from the first sample of any to the last one."""
        return cls(min(bed.start_ms for bed in beds), max(bed.end_ms for bed in beds), speed)

    def due_seconds(self, time_ms: int) -> float:
        """When a beat of this time is due, seconds since the start."""
        return (time_ms - self.first_ms) / 1000 / self.speed

    def reached_ms(self, passed_seconds: float) -> int:
        """The recorded time that is reached so many seconds after the start. Not for an infinite speed."""
        return self.first_ms + round(1000 * passed_seconds * self.speed)

    def ahead_ms(self, now_ms: int) -> int:
        """The most that the time of a beat is ahead of the clock when it is sent, if the start is now."""
        last_sent_ms = now_ms + round(1000 * self.due_seconds(self.last_ms))
        return max(self.first_ms - now_ms, self.last_ms - last_sent_ms)


@dataclass(frozen=True, slots=True)
class StartChoice:
    """Which times the beats of recordings get.

    `time`: that of all first samples. `now`: all begin together, so late that no beat is ahead of the clock when it is
    sent: at a speed of 1 now, at a higher one earlier, so that the recordings end now. `recording`: what the files say,
    in the time zone of this computer. `automatic`: what the files say where all of them do and the topic keeps records
    of that time, else `now`.
    """

    kind: Literal["time", "now", "recording", "automatic"]
    time_ms: int = 0


AUTOMATIC = StartChoice("automatic")


def start_times(
    recordings: Sequence[Recording], choice: StartChoice, speed: float, now_ms: int, kept_ms: int | None
) -> list[int]:
    """The time of the first sample of each recording, ms since the epoch.

    `kept_ms`: how long the topic keeps records by their times; None without a limit. Raises RecordingError where a
    recording has to say when it began and does not.
    """
    own = [_own_start_ms(one) for one in recordings]
    if choice.kind == "recording":
        return [_known(one, start) for one, start in zip(recordings, own, strict=True)]
    known = [start for start in own if start is not None]
    if choice.kind == "automatic" and len(known) == len(own):
        ends = [start + 1000 * one.seconds for one, start in zip(recordings, known, strict=True)]
        if max(ends) <= now_ms and (kept_ms is None or min(known) > now_ms - kept_ms):
            return known
    together = choice.time_ms if choice.kind == "time" else now_ms - _head_start_ms(recordings, speed)
    return [together] * len(recordings)


def _own_start_ms(recording: Recording) -> int | None:
    """None where the file does not say it, or names a time that Kafka cannot keep."""
    if recording.start is None or recording.start.year <= EPOCH_YEAR:
        return None
    return round(1000 * recording.start.timestamp())


def _known(recording: Recording, start_ms: int | None) -> int:
    if start_ms is None:
        raise RecordingError(
            f"{recording.path}: does not say when it began, or a time before 1971",
            "give {start} TIME or {start} now",
        )
    return start_ms


def _head_start_ms(recordings: Sequence[Recording], speed: float) -> int:
    """How long before now the recordings begin, so that the last beat is not ahead of the clock when it is sent."""
    seconds = max(one.seconds for one in recordings)
    return math.ceil(1000 * max(0.0, seconds - seconds / speed))
