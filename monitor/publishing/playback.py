"""Recordings as messages: opened and checked together, then played as several beds at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from monitor.beats.beat import encode
from monitor.beats.noise_header import noise_headers
from monitor.beats.plausible import NO_BEATS, BeatHeights
from monitor.beats.window import R_CENTRED, Window
from monitor.broker import TimeLimits
from monitor.errors import RecordingError, RefusedError
from monitor.publishing.source import check_source
from monitor.publishing.status_line import StatusLine, clock_text, time_text
from monitor.recordings import Recording, open_recording
from monitor.recordings.player import (
    AUTOMATIC,
    Bed,
    PlayedBeat,
    StartChoice,
    Timetable,
    play,
    segmenter_of,
    start_times,
)
from monitor.records.record import ANNOTATION_HEADER, Message
from monitor.telemetry.clock import Clock
from monitor.terminal import count_of

TURN_SECONDS = 0.2  # between two looks at the clock while a beat is waited for
FLUSH_SECONDS = 1.0  # so that a failure is noticed while few beats are sent


@dataclass(frozen=True, slots=True)
class PlaybackPlan:
    """How recordings are played. `leads` and `sources` are empty, or one for each recording; one lead holds for all."""

    leads: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    speed: float = math.inf  # 1: as it happened; infinity: as fast as possible
    start: StartChoice = AUTOMATIC
    with_annotations: bool = False
    form: Literal["float32", "json"] = "float32"
    window: Window = R_CENTRED
    hz: float | None = None  # the last three are for CSV
    column: str | None = None
    unit: str | None = None


def open_all(paths: Sequence[Path], plan: PlaybackPlan) -> list[Recording]:
    """Every recording, with its lead. Raises RefusedError for the first that cannot be played as planned."""
    if len(plan.leads) not in (0, 1, len(paths)):
        raise RefusedError(
            f"{len(plan.leads)} leads for {len(paths)} recordings: give --lead once, or for each of them"
        )
    leads = plan.leads * (len(paths) if len(plan.leads) == 1 else 1) or (None,) * len(paths)
    found = [
        open_recording(path, lead=lead, hz=plan.hz, column=plan.column, unit=plan.unit)
        for path, lead in zip(paths, leads, strict=True)
    ]
    for one in found:
        if plan.with_annotations and one.annotations is None:
            raise RecordingError(f"{one.path}: has no annotations", "leave {labels} out, or add the annotation file")
        segmenter_of(one, plan.window)
    source_names(found, plan.sources)
    if plan.start.kind == "recording":
        start_times(found, plan.start, plan.speed, now_ms=0, kept_ms=None)
    return found


def source_names(recordings: Sequence[Recording], given: Sequence[str]) -> list[str]:
    """The source of each recording: as given, else its file's name and its lead. Raises RefusedError."""
    if len(given) not in (0, len(recordings)):
        raise RefusedError(
            f"{len(given)} sources for {len(recordings)} recordings: give --source for each, or not at all"
        )
    names = list(given) or [f"{one.path.stem}-{one.lead}" for one in recordings]
    for name, count in Counter(names).items():
        check_source(name)
        if count > 1:
            raise RefusedError(f"{count} leads have the source {name!r}: give each a --source of its own")
    return names


class Playback:
    """The beats of several beds as messages, in the order of their times, each when it is due."""

    def __init__(self, recordings: Sequence[Recording], plan: PlaybackPlan, limits: TimeLimits, clock: Clock) -> None:
        """Raises RefusedError for recordings that cannot be played as planned."""
        now_ms = round(1000 * clock.wall())
        sources = source_names(recordings, plan.sources)
        starts = start_times(recordings, plan.start, plan.speed, now_ms, limits.kept_ms)
        self._beds = [Bed(*one) for one in zip(sources, recordings, starts, strict=True)]
        self.timetable = Timetable.of(self._beds, plan.speed)
        self._beats = play(self._beds, plan.window)
        self._plan, self._clock = plan, clock
        self._counts = dict.fromkeys(sources, 0)
        self._heights = {source: BeatHeights() for source in sources}
        self._reached_ms = self.timetable.first_ms
        _check_ahead(self.timetable.ahead_ms(now_ms), limits)

    def messages(self, topic: str, flush: Callable[[], None], status: StatusLine) -> Iterator[tuple[Message, int]]:
        """Each beat as a message for `topic`, with its time. `flush` is called now and then while one is waited for."""
        began = flushed = self._clock.monotonic()
        for beat in self._beats:
            due = began + self.timetable.due_seconds(beat.time_ms)
            while (now := self._clock.monotonic()) < due:
                self._reached_ms = self.timetable.reached_ms(now - began)
                status.show(self.progress)
                if now - flushed >= FLUSH_SECONDS:
                    flush()
                    flushed = now
                self._clock.sleep(min(due - now, TURN_SECONDS))
            self._reached_ms = beat.time_ms
            status.show(self.progress)
            yield self._message(beat, topic), beat.time_ms
            self._counts[beat.bed.source] += 1
            self._heights[beat.bed.source].add(beat.samples)
        self._reached_ms = self.timetable.last_ms

    def _message(self, beat: PlayedBeat, topic: str) -> Message:
        is_labelled = self._plan.with_annotations and beat.symbol
        annotation = ((ANNOTATION_HEADER, beat.symbol.encode()),) if is_labelled else ()
        headers = (*noise_headers(beat.noise), *annotation)
        return Message(topic, beat.bed.source.encode(), encode(beat.samples, self._plan.form), headers)

    def times(self) -> str:
        """Which times the beats get."""
        first, last = self.timetable.first_ms, self.timetable.last_ms
        return f"the beats get times from {time_text(first)} to {time_text(last)}"

    def progress(self) -> str:
        """How far all beds are, in recorded time."""
        name = self._beds[0].source if len(self._beds) == 1 else f"{len(self._beds)} beds"
        first_ms, last_ms = self.timetable.first_ms, self.timetable.last_ms
        place = f"{clock_text((self._reached_ms - first_ms) / 1000)} of {clock_text((last_ms - first_ms) / 1000)}"
        return f"{name}: {place}, {count_of(sum(self._counts.values()), 'beat')}"

    @property
    def has_nothing(self) -> bool:
        """Whether all recordings were played to their end, and none has a beat."""
        return self._reached_ms == self.timetable.last_ms and not any(self._counts.values())

    def published(self) -> str:
        """What was published before an error, and up to which recorded time."""
        return f"published before: {self.progress()}"

    def result(self) -> list[str]:
        """A line for each bed: how much of it was played, and how many beats it has. Then the warnings."""
        warnings = [(bed.source, self._heights[bed.source].warning()) for bed in self._beds]
        return [*map(self._result, self._beds), *(f"{source}: {text}" for source, text in warnings if text)]

    def _result(self, bed: Bed) -> str:
        count, played_ms = self._counts[bed.source], min(max(self._reached_ms, bed.start_ms), bed.end_ms) - bed.start_ms
        place = f"{clock_text(played_ms / 1000)} of {clock_text(bed.recording.seconds)}"
        advice = "" if count else f": {bed.recording.path}: {NO_BEATS}"
        return f"{bed.source}: {place}, {count_of(count, 'beat')}{advice}"


def _check_ahead(ahead_ms: int, limits: TimeLimits) -> None:
    if limits.ahead_ms is not None and ahead_ms > limits.ahead_ms:
        raise RefusedError(
            f"some beats would have times {clock_text(ahead_ms / 1000)} ahead of the clock, and the topic takes "
            f"{clock_text(limits.ahead_ms / 1000)} at most: give an earlier --start, or --start now"
        )
