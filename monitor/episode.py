"""Verdicts on beats become episodes: a pure state machine for each source in trouble, none for all the others.

An episode opens when k of the source's last n beats are flagged, closes after m unflagged ones in a row, or as silent
when the partition's beat time has moved too far since the source's last beat. Two kinds run side by side: abnormal
shape (physiological) and beats that cannot be scored (technical); the latter leave the former as it is.

Every decision follows from the records of one partition in their order, never from how polls cut them into batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from monitor.record import parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.beat import Beats

Kind = Literal["physiological", "technical"]
EventName = Literal["opened", "closed"]
KINDS: tuple[Kind, Kind] = ("physiological", "technical")
EVENTS: tuple[EventName, EventName] = ("opened", "closed")


@dataclass(frozen=True, slots=True)
class Rule:
    """When an episode opens (`flagged` of the last `window` beats), closes, and falls silent."""

    flagged: int
    window: int
    close: int
    silence_ms: int


@dataclass(frozen=True, slots=True)
class Track:
    """One kind of trouble of one source."""

    recent: int = 0  # one bit a beat, the newest lowest: 1 = flagged
    length: int = 0  # beats in `recent`
    unflagged: int = 0  # in a row, up to now
    opened_offset: int = -1  # -1 while no episode is open
    opened_at: int = 0  # time of the beat that opened it, ms since the epoch
    flagged_beats: int = 0  # since it opened, the beats that opened it included
    seen_beats: int = 0
    cause: int = 0  # of the last flagged beat

    @property
    def is_open(self) -> bool:
        return self.opened_offset >= 0

    @property
    def is_quiet(self) -> bool:
        return not self.is_open and not self.recent


QUIET = Track()


@dataclass(frozen=True, slots=True)
class Event:
    """An episode opened or closed; `row` is the beat of the batch that caused it."""

    name: EventName
    kind: Kind
    source: bytes
    row: int
    track: Track
    silent: bool = False


class _Beat(NamedTuple):
    source: bytes
    row: int
    offset: int
    time: int
    abnormal: bool
    unscorable: int  # the cause, 0 = scored


@dataclass(slots=True)
class _Source:
    tracks: tuple[Track, Track]
    clock: int  # the partition's beat time at the source's last beat


@dataclass(slots=True)
class _Partition:
    next_offset: int = -1
    clock: int | None = None  # highest beat time so far
    sources: dict[bytes, _Source] = field(default_factory=dict)  # in trouble only, longest unheard first


def advance(track: Track, rule: Rule, *, cause: int, offset: int, time: int) -> tuple[Track, EventName | None]:
    """The track after one more beat, and what that beat caused; `cause` is 0 for a beat that is not flagged."""
    flagged = cause != 0
    recent = (track.recent << 1 | flagged) & ((1 << rule.window) - 1)
    moved = replace(
        track,
        recent=recent,
        length=min(track.length + 1, rule.window),
        unflagged=0 if flagged else track.unflagged + 1,
        flagged_beats=track.flagged_beats + flagged,
        seen_beats=track.seen_beats + 1,
        cause=cause or track.cause,
    )
    if track.is_open:
        return (moved, "closed") if moved.unflagged >= rule.close else (moved, None)
    if recent.bit_count() < rule.flagged:
        return moved, None
    opened = replace(
        moved, opened_offset=offset, opened_at=time, flagged_beats=recent.bit_count(), seen_beats=moved.length
    )
    return opened, "opened"


class Episodes:
    """The sources in trouble of the partitions that this monitor reads."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._partitions: dict[int, _Partition] = {}
        self.open = dict.fromkeys(KINDS, 0)  # episodes open now, by kind

    def resume(self, partition: int, offset: int) -> None:
        """A partition was assigned, its next record has `offset`: forget its sources if another member went on."""
        if offset > self.next_offset(partition):
            self._forget(partition)

    def next_offset(self, partition: int) -> int:
        """The offset up to which the partition's records were judged; those below are not to be judged again."""
        known = self._partitions.get(partition)
        return -1 if known is None else known.next_offset

    def judged(self, offsets: Mapping[int, int]) -> None:
        """Note how far each partition was read: the offset of its next record."""
        for partition, offset in offsets.items():
            known = self._partitions.setdefault(partition, _Partition())
            known.next_offset = max(known.next_offset, offset)

    def _forget(self, partition: int) -> None:
        known = self._partitions.pop(partition, _Partition())
        for source in known.sources.values():
            for kind, track in zip(KINDS, source.tracks, strict=True):
                self.open[kind] -= track.is_open

    def observe(self, beats: Beats, abnormal: NDArray[np.bool_], unscorable: NDArray[np.int8]) -> list[Event]:
        """Events that the beats cause, in their order; `unscorable` (n,) is a cause's code, 0 with a score."""
        events: list[Event] = []
        for partition, rows in parts(beats.partition):
            known = self._partitions.setdefault(partition, _Partition())
            events += self._observe_partition(known, beats, rows, abnormal, unscorable)
        return events

    def _observe_partition(
        self,
        known: _Partition,
        beats: Beats,
        part: slice,
        abnormal: NDArray[np.bool_],
        unscorable: NDArray[np.int8],
    ) -> list[Event]:
        clock = np.maximum.accumulate(beats.time[part])
        if known.clock is not None:
            clock = np.maximum(clock, known.clock)
        known.clock = int(clock[-1])
        walk = _Walk(self._rule, known.sources, clock, part.start)
        flagged = abnormal[part] | (unscorable[part] != 0)
        rows = self._rows_in_trouble(beats.source[part], flagged, known) + part.start
        columns = (beats.source, np.arange(len(beats)), beats.offset, beats.time, abnormal, unscorable)
        for beat in map(_Beat, *(column[rows].tolist() for column in columns)):
            walk.beat(beat)
        walk.expire()
        for event in walk.events:
            self.open[event.kind] += 1 if event.name == "opened" else -1
        return sorted(walk.events, key=lambda event: event.row)

    @staticmethod
    def _rows_in_trouble(
        sources: NDArray[np.object_], flagged: NDArray[np.bool_], known: _Partition
    ) -> NDArray[np.intp]:
        """Beats of sources that are, or within this batch get, in trouble; found without a Python statement a beat."""
        if not known.sources and not flagged.any():
            return np.empty(0, np.intp)
        watched = known.sources.keys() | set(sources[flagged].tolist())
        return np.flatnonzero(np.fromiter(map(watched.__contains__, sources), np.bool_, len(sources)))


class _Walk:
    """One batch of one partition, beat by beat for the sources in trouble."""

    def __init__(self, rule: Rule, sources: dict[bytes, _Source], clock: NDArray[np.int64], start: int) -> None:
        self._rule = rule
        self._sources = sources
        self._clock = clock
        self._start = start
        self.events: list[Event] = []

    def beat(self, beat: _Beat) -> None:
        now = int(self._clock[beat.row - self._start])
        source = self._sources.pop(beat.source, None)
        if source is not None and now - source.clock > self._rule.silence_ms:
            self._silence(beat.source, source)
            source = None
        if source is None and not (beat.abnormal or beat.unscorable):
            return
        shape, signal = source.tracks if source else (QUIET, QUIET)
        if not beat.unscorable:
            shape = self._advance(shape, "physiological", beat, int(beat.abnormal))
        signal = self._advance(signal, "technical", beat, beat.unscorable)
        if not (shape.is_quiet and signal.is_quiet):
            self._sources[beat.source] = _Source((shape, signal), now)

    def _advance(self, track: Track, kind: Kind, beat: _Beat, cause: int) -> Track:
        if track.is_quiet and not cause:
            return QUIET
        moved, event = advance(track, self._rule, cause=cause, offset=beat.offset, time=beat.time)
        if event is not None:
            self.events.append(Event(event, kind, beat.source, beat.row, moved))
        return QUIET if event == "closed" else moved

    def expire(self) -> None:
        """Close what has been silent for too long at the end of the batch; the longest unheard come first."""
        for name, source in self._silent_ones():
            del self._sources[name]
            self._silence(name, source)

    def _silent_ones(self) -> list[tuple[bytes, _Source]]:
        found = []
        for name, source in self._sources.items():
            if int(self._clock[-1]) - source.clock <= self._rule.silence_ms:
                break
            found.append((name, source))
        return found

    def _silence(self, name: bytes, source: _Source) -> None:
        row = self._start + int(np.searchsorted(self._clock, source.clock + self._rule.silence_ms, side="right"))
        for kind, track in zip(KINDS, source.tracks, strict=True):
            if track.is_open:
                self.events.append(Event("closed", kind, name, row, track, silent=True))
