"""Verdicts on beats become episodes: a small memory for each source in trouble, none for all the others.

What opens and closes an episode is `track`'s business; one also ends as silent, when the partition's beat time has
moved too far since the source's last beat. Beats that cannot be scored leave the physiological track as it is.

Every decision follows from the records of one partition in their order, never from how polls cut them into batches,
and never from which member read them: what is remembered, and the partition's clock, are delivered with the alerts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.record import parts
from monitor.track import EVENTS, KINDS, QUIET, EventName, Kind, Rule, Track, Trouble, advance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.beat import Beats

__all__ = ["EVENTS", "KINDS", "Episodes", "Event", "Kind", "Memory", "Observed", "Rule", "Trouble"]


@dataclass(frozen=True, slots=True)
class Event:
    """An episode opened or closed; `row` is the beat of the batch that caused it."""

    name: EventName
    kind: Kind
    source: bytes
    row: int
    track: Track
    silent: bool = False


class Memory(NamedTuple):
    """What is to be remembered of a source from now on; None when its trouble is over."""

    partition: int
    source: bytes
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a batch came to: events in the order of their beats, and every change of memory."""

    events: list[Event]
    memories: list[Memory]


class _Beat(NamedTuple):
    source: bytes
    row: int
    offset: int
    time: int
    abnormal: bool
    unscorable: int  # the cause, 0 = scored


@dataclass(slots=True)
class _Partition:
    clock: int | None = None  # highest beat time so far
    sources: dict[bytes, Trouble] = field(default_factory=dict)  # longest unheard first


class Episodes:
    """The sources in trouble of the partitions that this monitor reads."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._partitions: dict[int, _Partition] = {}
        self.open = dict.fromkeys(KINDS, 0)  # episodes open now, by kind

    def restore(self, partition: int, clock: int | None, sources: Mapping[bytes, Trouble]) -> None:
        """Begin or go back to reading a partition: from now on this is what is known of it."""
        self.forget(partition)
        in_order = sorted(sources.items(), key=lambda item: item[1].clock)
        self._partitions[partition] = _Partition(clock, dict(in_order))
        self._count(sources, 1)

    def forget(self, partition: int) -> None:
        """The partition is read by somebody else now."""
        known = self._partitions.pop(partition, None)
        if known is not None:
            self._count(known.sources, -1)

    def _count(self, sources: Mapping[bytes, Trouble], sign: int) -> None:
        for trouble in sources.values():
            for kind, track in zip(KINDS, trouble.tracks, strict=True):
                self.open[kind] += sign * track.is_open

    def clock(self, partition: int) -> int | None:
        """Highest beat time so far of a partition, ms since the epoch."""
        known = self._partitions.get(partition)
        return None if known is None else known.clock

    def observe(self, beats: Beats, abnormal: NDArray[np.bool_], unscorable: NDArray[np.int8]) -> Observed:
        """What the beats cause, partition by partition; `unscorable` (n,) is a cause's code, 0 with a score."""
        observed = Observed([], [])
        for partition, rows in parts(beats.partition):
            known = self._partitions.setdefault(partition, _Partition())
            walk = self._walk(known, beats, rows, abnormal, unscorable)
            observed.events.extend(sorted(walk.events, key=lambda event: event.row))
            observed.memories.extend(walk.memories(partition))
        for event in observed.events:
            self.open[event.kind] += 1 if event.name == "opened" else -1
        return observed

    def _walk(
        self,
        known: _Partition,
        beats: Beats,
        part: slice,
        abnormal: NDArray[np.bool_],
        unscorable: NDArray[np.int8],
    ) -> _Walk:
        clock = np.maximum.accumulate(beats.time[part])
        if known.clock is not None:
            clock = np.maximum(clock, known.clock)
        known.clock = int(clock[-1])
        walk = _Walk(self._rule, known.sources, clock, part.start)
        flagged = abnormal[part] | (unscorable[part] != 0)
        rows = self._rows_in_trouble(beats.source[part], flagged, known, beats.offset[part]) + part.start
        columns = (beats.source, np.arange(len(beats)), beats.offset, beats.time, abnormal, unscorable)
        for beat in map(_Beat, *(column[rows].tolist() for column in columns)):
            walk.beat(beat)
        walk.expire()
        return walk

    def _rows_in_trouble(
        self, sources: NDArray[np.object_], flagged: NDArray[np.bool_], known: _Partition, offset: NDArray[np.int64]
    ) -> NDArray[np.intp]:
        """Beats whose source may be in trouble as they come; found without a Python statement a beat.

        Trouble lasts for no more of its source's beats after a flagged one than `_rule` looks back on, so these are
        the flagged ones, those soon after one, and the first ones of sources that were in trouble before.
        """
        if not known.sources and not flagged.any():
            return np.empty(0, np.intp)
        number = {source: count for count, source in enumerate(known.sources.keys() | set(sources[flagged].tolist()))}
        rows = np.flatnonzero(np.fromiter(map(number.__contains__, sources), np.bool_, len(sources)))
        if any(trouble.offset >= offset[0] for trouble in known.sources.values()):
            return rows  # read again after a crash
        of = np.fromiter(map(number.__getitem__, sources[rows]), np.intp, len(rows))
        order = np.argsort(of, kind="stable")  # source by source, each in the order of its beats
        is_first = np.diff(of[order], prepend=-1) != 0
        was_known = np.fromiter(map(known.sources.__contains__, number), np.bool_, len(number))[of[order]]
        places = np.arange(len(rows))
        since = np.maximum.accumulate(np.where(is_first | flagged[rows[order]], places, 0))
        is_near = places - since <= max(self._rule.window, self._rule.close)
        return np.sort(rows[order][is_near & (flagged[rows[order]][since] | was_known)])


class _Walk:
    """One batch of one partition, beat by beat for the sources in trouble."""

    def __init__(self, rule: Rule, sources: dict[bytes, Trouble], clock: NDArray[np.int64], start: int) -> None:
        self._rule = rule
        self._sources = sources
        self._clock = clock
        self._start = start
        self._touched: dict[bytes, bool] = {}  # source -> whether it was in trouble before this batch
        self.events: list[Event] = []

    def beat(self, beat: _Beat) -> None:
        now = int(self._clock[beat.row - self._start])
        known = self._sources.get(beat.source)
        if known is not None and beat.offset <= known.offset:
            return  # read again after a crash, when its state had been delivered already
        if known is not None and now - known.clock > self._rule.silence_ms:
            self._silence(beat.source, known)
            known = None
        if known is None and not (beat.abnormal or beat.unscorable):
            return
        shape, signal = known.tracks if known else (QUIET, QUIET)
        if not beat.unscorable:
            shape = self._advance(shape, "physiological", beat, int(beat.abnormal))
        signal = self._advance(signal, "technical", beat, beat.unscorable)
        self._remember(beat.source, Trouble((shape, signal), now, beat.offset))

    def _advance(self, track: Track, kind: Kind, beat: _Beat, cause: int) -> Track:
        if not cause and (track is QUIET or track.is_quiet):
            return QUIET
        moved, event = advance(track, self._rule, cause=cause, offset=beat.offset, time=beat.time)
        if event is not None:
            self.events.append(Event(event, kind, beat.source, beat.row, moved))
        return QUIET if event == "closed" else moved

    def _remember(self, source: bytes, trouble: Trouble) -> None:
        self._touched.setdefault(source, source in self._sources)
        self._sources.pop(source, None)  # to the end of the order
        if not trouble.is_over:
            self._sources[source] = trouble

    def expire(self) -> None:
        """Close what has been silent for too long at the end of the batch; the longest unheard come first."""
        for source, trouble in self._silent_ones():
            self._silence(source, trouble)

    def _silent_ones(self) -> list[tuple[bytes, Trouble]]:
        found = []
        for source, trouble in self._sources.items():
            if int(self._clock[-1]) - trouble.clock <= self._rule.silence_ms:
                break
            found.append((source, trouble))
        return found

    def _silence(self, source: bytes, trouble: Trouble) -> None:
        row = self._start + int(np.searchsorted(self._clock, trouble.clock + self._rule.silence_ms, side="right"))
        for kind, track in zip(KINDS, trouble.tracks, strict=True):
            if track.is_open:
                self.events.append(Event("closed", kind, source, row, track, silent=True))
        self._touched.setdefault(source, True)
        del self._sources[source]

    def memories(self, partition: int) -> list[Memory]:
        """One for each source whose memory this batch changed; none where trouble came and went within it."""
        return [
            Memory(partition, source, self._sources.get(source))
            for source, was_known in self._touched.items()
            if was_known or source in self._sources
        ]
