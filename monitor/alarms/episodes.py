"""Turns verdicts on beats into episodes. Keeps a state for each source with an episode or a recent flagged beat.

`rule` says when an episode opens and closes. An episode also closes, as silent, when the partition's stream time has
moved too far since the source's last beat. Stream time is the highest beat time of a partition so far.

Every decision depends only on the records of one partition and their order. It does not depend on how polls cut them
into batches, nor on which member of the group reads them: the states and the stream time are delivered with the
alerts, and the next member that reads the partition starts with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.batch import BatchObserver, PartitionBeats
from monitor.alarms.rule import KINDS, EpisodeRule, Event, SourceState
from monitor.records.record import partition_slices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.beats.beat import Beats


class StateChange(NamedTuple):
    """The new state of a source; None when its state is deleted."""

    partition: int
    source: bytes
    state: SourceState | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a batch caused: events in the order of their beats, and every change of a source's state."""

    events: list[Event]
    changes: list[StateChange]


@dataclass(slots=True)
class _PartitionState:
    stream_time: int | None = None  # ms since the epoch; None before the first beat
    last_offset: int = -1  # highest offset observed, those of the restored states included; -1: none
    sources: dict[bytes, SourceState] = field(default_factory=dict)  # ordered by stream time: longest silent first


class Episodes:
    """The states of all sources of the partitions that this monitor reads."""

    def __init__(self, rule: EpisodeRule) -> None:
        self._rule = rule
        self._partitions: dict[int, _PartitionState] = {}
        self.open = dict.fromkeys(KINDS, 0)  # episodes open now, by kind

    def assign(self, partition: int, stream_time: int | None, sources: Mapping[bytes, SourceState]) -> None:
        """Replace the states of a partition by stored ones.

        This is needed when this member starts to read the partition, and when it reads it again from an earlier offset.
        """
        self.revoke(partition)
        in_order = sorted(sources.items(), key=lambda item: item[1].stream_time)
        last_offset = max((state.offset for state in sources.values()), default=-1)
        self._partitions[partition] = _PartitionState(stream_time, last_offset, dict(in_order))
        self._count(sources, 1)

    def revoke(self, partition: int) -> None:
        """Drop the states of a partition that another member reads now."""
        known = self._partitions.pop(partition, None)
        if known is not None:
            self._count(known.sources, -1)

    def _count(self, sources: Mapping[bytes, SourceState], sign: int) -> None:
        for state in sources.values():
            for kind, episode in zip(KINDS, state.episodes, strict=True):
                self.open[kind] += sign * episode.is_open

    def stream_time(self, partition: int) -> int | None:
        """Highest beat time of a partition so far, ms since the epoch; None before its first beat."""
        known = self._partitions.get(partition)
        return None if known is None else known.stream_time

    def observe(self, beats: Beats, abnormal: NDArray[np.bool_], unscorable: NDArray[np.int8]) -> Observed:
        """Apply the episode rule to n beats, partition by partition; returns the events and the changed states.

        `abnormal` (n,) are the verdicts. `unscorable` (n,) says why a beat has no score: a cause, or 0 if it has one.
        """
        observed = Observed([], [])
        flagged = abnormal | (unscorable != 0)
        for partition, rows in partition_slices(beats.partition):
            known = self._partitions.setdefault(partition, _PartitionState())
            flags, time, offset = flagged[rows], beats.time[rows], beats.offset[rows]
            stream_time = np.maximum.accumulate(time)
            if known.stream_time is not None:
                stream_time = np.maximum(stream_time, known.stream_time)
            columns = beats.source[rows], time, offset, stream_time, flags, abnormal[rows], unscorable[rows]
            observer = BatchObserver(self._rule, known.sources, PartitionBeats(rows.start, *columns))
            if known.sources or flags.any():
                observer.run(is_reread=known.last_offset >= offset[0])
                observed.events.extend(observer.events())
                observed.changes.extend(StateChange(partition, *one) for one in observer.changes.items())
            known.stream_time = int(stream_time[-1])
            known.last_offset = max(known.last_offset, int(offset[-1]))
        for event in observed.events:
            self.open[event.kind] += 1 if event.name == "opened" else -1
        return observed
