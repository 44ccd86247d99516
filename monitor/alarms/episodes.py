"""Part on beats become episodes: a small memory for each source in trouble, none for all the others.

What opens and closes an episode is `episode`'s business; one also ends as silent, when the partition's beat time has
moved too far since the source's last beat. Beats that cannot be scored leave the physiological track as it is.

Every decision follows from the records of one partition in their order, never from how polls cut them into batches,
and never from which member read them: what is remembered, and the partition's clock, are delivered with the alerts.
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
    """What is to be remembered of a source from now on; None when its trouble is over."""

    partition: int
    source: bytes
    state: SourceState | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a batch came to: events in the order of their beats, and every change of memory."""

    events: list[Event]
    changes: list[StateChange]


@dataclass(slots=True)
class _Partition:
    stream_time: int | None = None  # highest beat time so far
    through: int = -1  # highest offset so far, and of what was restored
    sources: dict[bytes, SourceState] = field(default_factory=dict)  # longest unheard first


class Episodes:
    """The sources in trouble of the partitions that this monitor reads."""

    def __init__(self, rule: EpisodeRule) -> None:
        self._rule = rule
        self._partitions: dict[int, _Partition] = {}
        self.open = dict.fromkeys(KINDS, 0)  # episodes open now, by kind

    def restore(self, partition: int, stream_time: int | None, sources: Mapping[bytes, SourceState]) -> None:
        """Begin or go back to reading a partition: from now on this is what is known of it."""
        self.forget(partition)
        in_order = sorted(sources.items(), key=lambda item: item[1].stream_time)
        through = max((state.offset for state in sources.values()), default=-1)
        self._partitions[partition] = _Partition(stream_time, through, dict(in_order))
        self._count(sources, 1)

    def forget(self, partition: int) -> None:
        """The partition is read by somebody else now."""
        known = self._partitions.pop(partition, None)
        if known is not None:
            self._count(known.sources, -1)

    def _count(self, sources: Mapping[bytes, SourceState], sign: int) -> None:
        for state in sources.values():
            for kind, episode in zip(KINDS, state.episodes, strict=True):
                self.open[kind] += sign * episode.is_open

    def stream_time(self, partition: int) -> int | None:
        """Highest beat time so far of a partition, ms since the epoch."""
        known = self._partitions.get(partition)
        return None if known is None else known.stream_time

    def observe(self, beats: Beats, abnormal: NDArray[np.bool_], unscorable: NDArray[np.int8]) -> Observed:
        """What the beats cause, partition by partition; `unscorable` (n,) is a cause's code, 0 with a score."""
        observed = Observed([], [])
        flagged = abnormal | (unscorable != 0)
        for partition, rows in partition_slices(beats.partition):
            known = self._partitions.setdefault(partition, _Partition())
            flags, time, offset = flagged[rows], beats.time[rows], beats.offset[rows]
            stream_time = np.maximum.accumulate(time)
            if known.stream_time is not None:
                stream_time = np.maximum(stream_time, known.stream_time)
            columns = beats.source[rows], time, offset, stream_time, flags, abnormal[rows], unscorable[rows]
            observer = BatchObserver(self._rule, known.sources, PartitionBeats(rows.start, *columns))
            if known.sources or flags.any():
                observer.run(is_reread=known.through >= offset[0])
                observed.events.extend(observer.events())
                observed.changes.extend(StateChange(partition, *one) for one in observer.changes.items())
            known.stream_time = int(stream_time[-1])
            known.through = max(known.through, int(offset[-1]))
        for event in observed.events:
            self.open[event.kind] += 1 if event.name == "opened" else -1
        return observed
