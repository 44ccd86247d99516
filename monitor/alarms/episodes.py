"""Turns verdicts on beats into episodes. Keeps a state for each source with an episode or a recent flagged beat.

`rule` says when an episode opens and closes. An episode also closes, as silent, when the partition's stream time has
moved too far since the source's last beat; `monitor/records/stream_time.py` has the rules of stream time.

Every decision depends only on the records of one partition and their order. It does not depend on how polls cut them
into batches, nor on which member of the group reads them: the states and the stream time are delivered with the
alerts, and the next member that reads the partition starts with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from monitor.alarms.batch import BatchObserver, PlainRuns
from monitor.alarms.batch_columns import FlagColumns, PartitionBeats
from monitor.alarms.no_signal import SignalWatch, is_absent
from monitor.alarms.recent.technical import CLOCK
from monitor.alarms.rule import KINDS, BeatFlags, EpisodeRule, Event, EventName, SourceState
from monitor.records.record import partition_slices
from monitor.records.stream_time import Pace, StreamTime, advance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from monitor.alarms.no_signal import Silence, WatchedSources
    from monitor.beats.beat import Beats

_OPEN: dict[EventName, int] = {"opened": 1, "updated": 0, "closed": -1}  # how the number of open episodes changes


class StateChange(NamedTuple):
    """The new state of a source; None when its state is deleted."""

    partition: int
    source: bytes
    state: SourceState | None


class StreamTimes(NamedTuple):
    """The stream time of a partition at each of its beats in a batch."""

    first_row: int  # in the batch
    column: NDArray[np.int64]  # (n,), ms; it never falls


@dataclass(frozen=True, slots=True)
class Observed:
    """What a batch caused: events in the order of their beats, and every change of a source's state."""

    events: list[Event]
    changes: list[StateChange]
    far_ahead: int = 0  # beats with a time too far ahead to be believed
    stream_times: dict[int, StreamTimes] = field(default_factory=dict, compare=False)  # by partition


@dataclass(slots=True)
class _PartitionState:
    stream_time: StreamTime | None = None  # None before the first beat
    last_offset: int = -1  # highest offset observed, those of the restored states included; -1: none
    void: dict[bytes, SourceState] = field(default_factory=dict)  # whose open episodes close at the next beat
    sources: dict[bytes, SourceState] = field(default_factory=dict)  # ordered by stream time: longest silent first
    absent: dict[bytes, SourceState] = field(default_factory=dict)  # the same of those that have stopped: no-signal


class Episodes:
    """The states of all sources of the partitions that this monitor reads."""

    def __init__(self, rule: EpisodeRule, watched: WatchedSources | None = None) -> None:
        """`watched`: the sources of which it is noticed that they stop; None: of none."""
        self._rule, self._pace = rule, Pace.of_silence(rule.silence_ms)
        self._watch = SignalWatch(rule.no_signal_ms, watched) if watched is not None and rule.no_signal_ms else None
        self._plain = PlainRuns()
        self._partitions: dict[int, _PartitionState] = {}
        self.open = dict.fromkeys(KINDS, 0)  # episodes open now, by kind

    def assign(
        self,
        partition: int,
        stream_time: StreamTime | None,
        sources: Mapping[bytes, SourceState],
        void: Mapping[bytes, SourceState] | None = None,
    ) -> None:
        """Replace the states of a partition by stored ones.

        This is needed when this member starts to read the partition, and when it reads it again from an earlier offset.
        `void` are states of beats that are gone, or come again: their open episodes close at the partition's next beat.
        """
        self.revoke(partition)
        in_order = sorted(sources.items(), key=lambda item: item[1].stream_time)
        last_offset = max((state.offset for state in sources.values()), default=-1)
        absent = {source: state for source, state in in_order if self._watch is not None and is_absent(state)}
        others = {source: state for source, state in in_order if source not in absent}
        self._partitions[partition] = _PartitionState(stream_time, last_offset, dict(void or {}), others, absent)
        if self._watch is not None:
            self._watch.assign(partition)
        self._count(sources, 1)
        self._count(void or {}, 1)

    def revoke(self, partition: int) -> None:
        """Drop the states of a partition that another member reads now."""
        known = self._partitions.pop(partition, None)
        if known is not None:
            self._count(known.sources, -1)
            self._count(known.absent, -1)
            self._count(known.void, -1)

    def _count(self, sources: Mapping[bytes, SourceState], sign: int) -> None:
        for state in sources.values():
            for kind, episode in zip(KINDS, state.episodes, strict=True):
                self.open[kind] += sign * episode.is_open

    def state(self, partition: int, source: bytes) -> SourceState | None:
        """What is remembered of a source; None where nothing is."""
        known = self._partitions.get(partition)
        return None if known is None else known.sources.get(source) or known.absent.get(source)

    def end(self, partition: int, source: bytes) -> SourceState | None:
        """Forget a source that has ended; gives what was remembered of it, None where nothing was."""
        known = self._partitions.get(partition)
        state = None if known is None else known.sources.pop(source, None) or known.absent.pop(source, None)
        if state is not None:
            self._count({source: state}, -1)
        return state

    def stream_time(self, partition: int) -> StreamTime | None:
        """The stream time of a partition; None before its first beat."""
        known = self._partitions.get(partition)
        return None if known is None else known.stream_time

    def observe(self, beats: Beats, flags: BeatFlags, watched_row: NDArray[np.int64] | None = None) -> Observed:
        """Apply the episode rule to n beats, partition by partition; returns the events and the changed states.

        `watched_row` (n,): that of the beat's source among the watched ones, negative where it has none.
        """
        events: list[Event] = []
        changes: list[StateChange] = []
        far_ahead, stream_times = 0, {}
        columns = FlagColumns.of(flags)
        for partition, rows in partition_slices(beats.partition):
            known = self._partitions.setdefault(partition, _PartitionState())
            events += _closed(known, rows.start)
            source, time, offset = beats.source[rows], beats.time[rows], beats.offset[rows]
            moved = advance(known.stream_time, self._pace, source, time)
            own = columns.rows(rows).with_lowest(CLOCK, moved.wrong)
            of_partition = PartitionBeats(rows.start, source, time, offset, moved.column, own)
            gaps, silences = self._silences(partition, known, of_partition, watched_row)
            observer = BatchObserver(self._rule, known.sources, of_partition, self._plain, gaps)
            if known.sources or own.flagged.any() or gaps or silences or known.absent:
                observer.run(is_reread=known.last_offset >= offset[0])
                known.absent.update((one.source, observer.stop(one)) for one in silences)
                observer.expire()
                observer.forget(known.absent)
                events += _marked(observer.events(), columns, rows.start, moved.wrong)
                changes += [StateChange(partition, *one) for one in observer.changes.items()]
            known.stream_time = moved.after
            stream_times[partition] = StreamTimes(rows.start, moved.column)
            far_ahead += moved.far_ahead
            known.last_offset = max(known.last_offset, int(offset[-1]))
        for event in events:
            self.open[event.kind] += _OPEN[event.name]
        return Observed(events, changes, far_ahead, stream_times)

    def _silences(
        self, partition: int, known: _PartitionState, beats: PartitionBeats, watched_row: NDArray[np.int64] | None
    ) -> tuple[dict[int, Silence | None], list[Silence]]:
        """The beats, by their places, with which sources come back, and the sources that have stopped.

        Sources that come back are among those of `known` again.
        """
        if self._watch is None or watched_row is None:
            return {}, []
        rows = watched_row[beats.first_row : beats.first_row + len(beats.offset)]
        if known.absent:
            self._watch.miss(partition, known.absent)
        silences, back = self._watch.gaps(rows, beats, has_absent=bool(known.absent))
        gaps: dict[int, Silence | None] = dict(silences)
        for place in back:
            source = beats.source[place]
            if source in known.absent and beats.offset[place] > known.absent[source].offset:
                gaps[place] = None
                known.sources[source] = known.absent.pop(source)
        return gaps, self._watch.stopped(partition, int(beats.stream_time[-1]))


def _marked(events: list[Event], columns: FlagColumns, start: int, wrong_clock: NDArray[np.bool_]) -> Iterator[Event]:
    """The same events; openings and rises of a physiological episode with what makes their beats doubtful.

    `columns`: of the whole batch, without the clock. `wrong_clock` (k,): of its rows from `start` on.
    """
    for event in events:
        if event.kind == "technical" or event.name == "closed":
            yield event
            continue
        codes = int(columns.cause[event.row]), CLOCK * int(wrong_clock[event.row - start])
        yield replace(event, marks=tuple(code for code in codes if code))


def _closed(known: _PartitionState, row: int) -> list[Event]:
    """The ends of the episodes that are void, at this row; they are forgotten."""
    void, known.void = known.void, {}
    return [
        Event("closed", kind, source, row, episode, void=True)
        for source, state in void.items()
        for kind, episode in zip(KINDS, state.episodes, strict=True)
        if episode.is_open
    ]
