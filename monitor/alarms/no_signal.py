"""The technical alarm `no-signal`: a source that has sent, and stopped.

It is watched where a source has a profile or learns one. It counts as stopped when the stream time of its partition has
moved too far since its last beat, as for every other decision: a replay gives the same. The alarm is a technical
episode, named after the last beat that was heard; an open one becomes it. The next beat of the source closes it.
Meanwhile no beat can be judged, so that the physiological episode stays as it is.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from monitor.alarms.recent.technical import NO_SIGNAL
from monitor.alarms.rule import MEDIUM, QUIET, EpisodeState
from monitor.profiles.last_beats import NOT_WATCHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from monitor.alarms.batch_columns import PartitionBeats
    from monitor.alarms.rule import EventName, SourceState
    from monitor.profiles.last_beats import LastBeats


class Silence(NamedTuple):
    """A source that was not heard for too long."""

    source: bytes
    offset: int  # of the last beat that was heard
    time: int  # of its record
    stream_time: int  # of the partition at it


class Gaps(NamedTuple):
    """Beats with which sources come back, by their places."""

    silences: dict[int, Silence]  # that they end, and that were not noticed before
    back: list[int]  # where an alarm is on: beats of sources that were not watched, in their order; it may be theirs


class WatchedSources(Protocol):
    """The sources that have rows: `Register`."""

    last: LastBeats

    def rows(self, partition: int) -> NDArray[np.int64]:
        """The rows of a partition's sources."""

    def row(self, partition: int, source: bytes) -> int:
        """The row of a source; negative where it has none."""

    def source(self, row: int) -> bytes:
        """The source in a row."""


class SignalWatch:
    """Finds sources that stop."""

    def __init__(self, limit_ms: int, sources: WatchedSources) -> None:
        self._limit_ms, self._sources = limit_ms, sources
        self._earliest: dict[int, int] = {}  # partition -> at most the smallest stream time of a watched row

    def assign(self, partition: int) -> None:
        """What was known of a partition is replaced."""
        self._earliest.pop(partition, None)

    def miss(self, partition: int, sources: Iterable[bytes]) -> None:
        """Sources whose alarm is on already: each is missed once, whatever was restored or read again meanwhile."""
        rows = np.array([self._sources.row(partition, source) for source in sources], np.int64)
        self._sources.last.stream_time[rows[rows >= 0]] = NOT_WATCHED

    def gaps(self, rows: NDArray[np.int64], beats: PartitionBeats, *, has_absent: bool) -> Gaps:
        """What beats (n,) of a partition end; they count as heard after that.

        `rows` (n,): of their sources; negative where a source has none. `has_absent`: the alarm of some source is on.
        """
        found, back = dict[int, Silence](), list[int]()
        row, column, offset, time = rows, beats.stream_time, beats.offset, beats.time
        places = np.arange(len(rows))
        if len(rows) and rows.min() < 0:
            places = np.flatnonzero(rows >= 0)
            back += np.flatnonzero(rows < 0).tolist() if has_absent else ()
            row, column, offset, time = row[places], column[places], offset[places], time[places]
        start, last = 0, self._sources.last
        while start < len(row):
            # So short that two beats of one source in it are no silence, and most sources were heard before it.
            end = int(np.searchsorted(column, column[start] + self._limit_ms // 2, side="right"))
            part = slice(start, end)
            heard = last.stream_time[row[part]]
            is_late = column[part] - heard > self._limit_ms
            for place in _firsts(row[part], is_late) if is_late.any() else ():
                found[int(places[start + place])] = self._silence(int(row[start + place]))
            back += places[part][heard == NOT_WATCHED].tolist() if has_absent else ()
            last.stream_time[row[part]] = column[part]
            last.note(row[part], offset[part], time[part])
            start = end
        return Gaps(found, sorted(back))

    def stopped(self, partition: int, now: int) -> list[Silence]:
        """The sources that are silent for too long at this stream time, the longest silent first; each once."""
        if now - self._earliest.get(partition, -NOT_WATCHED) <= self._limit_ms:
            return []
        rows, last = self._sources.rows(partition), self._sources.last
        heard = last.stream_time[rows]
        heard = np.where(last.offset[rows] < 0, NOT_WATCHED, heard)
        is_silent = now - heard > self._limit_ms
        silences = [self._silence(row) for row in rows[is_silent].tolist()]
        last.stream_time[rows[is_silent]] = NOT_WATCHED
        self._earliest[partition] = int(heard[~is_silent].min(initial=now))  # who comes later is heard after now
        return sorted(silences, key=lambda one: (one.stream_time, one.offset))

    def _silence(self, row: int) -> Silence:
        last = self._sources.last
        heard = int(last.offset[row]), int(last.time[row]), int(last.stream_time[row])
        return Silence(self._sources.source(row), *heard)


def _firsts(row: NDArray[np.int64], is_late: NDArray[np.bool_]) -> Iterator[int]:
    """The places of late beats before which their source has sent none of these beats (n,)."""
    for place in np.flatnonzero(is_late).tolist():
        if not (row[:place] == row[place]).any():
            yield place


def is_absent(state: SourceState) -> bool:
    """Whether the alarm of a source that has stopped is on."""
    technical = state.episodes[1]
    return technical.is_open and technical.cause == NO_SIGNAL


def forgotten(absent: Mapping[bytes, SourceState], now: int, forget_ms: int) -> list[bytes]:
    """The sources that are absent for so long at this stream time; they are in the order in which they stopped."""
    return list(takewhile(lambda source: now - absent[source].stream_time > forget_ms, absent)) if forget_ms else []


def after_stop(technical: EpisodeState, silence: Silence) -> tuple[EpisodeState, EventName]:
    """The technical episode when a source has stopped, and its event."""
    if technical.is_open:
        return technical._replace(cause=NO_SIGNAL, recent=0, length=0, unflagged=0), "updated"
    opened_at = max(silence.time, -1)
    return EpisodeState(opened_offset=silence.offset, opened_at=opened_at, cause=NO_SIGNAL, priority=MEDIUM), "opened"


def frozen(physiological: EpisodeState) -> EpisodeState:
    """What is kept of a physiological episode while its source is silent: without it, recent beats say nothing."""
    return physiological if physiological.opened_offset >= 0 else QUIET
