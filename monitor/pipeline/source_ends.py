"""Ends sources at the end of a step: their alarms close, and what is known of them is dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.episodes import StateChange
from monitor.profiles.register import END as MAX_OFFSET
from monitor.records.record import partition_slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.alarms.alarm_event import AlarmEvent
    from monitor.alarms.episodes import Episodes
    from monitor.alarms.lives import AlarmLives, StepLives
    from monitor.alarms.rule import Event
    from monitor.alarms.source_end import DueEnd, SourceEnds
    from monitor.pipeline.personal import PersonalJudge
    from monitor.records.record import Records


@dataclass(frozen=True, slots=True)
class StepEnds:
    """The sources that ended in a step."""

    partitions: frozenset[int]
    places: frozenset[tuple[int, bytes]]  # partition and source, of those with a row of episode state
    events: Sequence[AlarmEvent]  # the ends of their alarms
    useless: int  # commands about sources of which nothing is known, or that send on

    def added_to(self, lives: StepLives) -> StepLives:
        """What became of alarms in the step, with these ends: their rows are deleted."""
        if not self.partitions:
            return lives
        kept = [change for change in lives.changes if change[:2] not in self.places]
        changes = [*kept, *(StateChange(*place, None) for place in sorted(self.places))]
        events, partitions = [*lives.events, *self.events], lives.partitions | self.partitions
        return lives._replace(events=events, changes=changes, partitions=partitions)


class SourceEnder:
    """Applies the commands that end sources."""

    def __init__(
        self, commands: SourceEnds, episodes: Episodes, lives: AlarmLives, personal: PersonalJudge | None
    ) -> None:
        self._commands, self._episodes, self._lives, self._personal = commands, episodes, lives, personal

    def step(self, positions: Mapping[int, int]) -> StepEnds:
        """Apply the commands whose time has come. `positions`: of each partition, the next record to judge."""
        partitions, places, useless = set[int](), set[tuple[int, bytes]](), 0
        events: list[AlarmEvent] = []
        for due in self._commands.take(positions):
            place = due.partition, due.source
            has_row = self._episodes.state(*place) is not None or bool(self._lives.of(*place))
            if not self._drop_learned(due, has_row=has_row):
                useless += 1
                continue
            partitions.add(due.partition)
            if has_row:
                places.add(place)
                events += self._lives.end(place, self._episodes, positions, due.given)
                self._episodes.end(*place)
        return StepEnds(frozenset(partitions), frozenset(places), events, useless)

    def forget(self, events: Iterable[Event], partition: NDArray[np.int32]) -> None:
        """Drop what was learned of sources whose alarms closed since they were not heard for long.

        `partition` (n,): of the beats of the step.
        """
        for event in events:
            if event.forgotten and self._personal is not None:
                self._personal.end(int(partition[event.row]), event.source, MAX_OFFSET)

    def _drop_learned(self, due: DueEnd, *, has_row: bool) -> bool:
        """Drop what was learned of a source, unless it sends on. Returns whether something of it is over.

        `has_row`: whether it has a row of episode state.
        """
        state, lives = self._episodes.state(due.partition, due.source), self._lives.of(due.partition, due.source) or {}
        if state is not None and state.offset >= due.offset:
            return False
        if any(life.alarm >= due.offset for life in lives.values()):  # it has opened and latched since
            return False
        if self._personal is None:
            return has_row
        had_profile = self._personal.end(due.partition, due.source, due.offset)
        return had_profile is not None and (had_profile or has_row)


class Cut(NamedTuple):
    """The records of a poll, in two steps where a source ends between them."""

    records: Records
    rest: Records | None  # None: no record has to wait
    reached: Mapping[int, int]  # of each partition whose records wait: the offset of the first one


def cut(records: Records, ends: SourceEnds) -> Cut:
    """The records before the first end of a source in each partition, and those from there on."""
    if not len(ends):
        return Cut(records, None, {})
    is_late, reached = np.zeros(len(records), np.bool_), dict[int, int]()
    for partition, rows in partition_slices(records.partition):
        offset = records.offset[rows]
        begin = int(offset[0])
        if ends.waits(partition, begin, is_new=partition in records.assigned):
            end: int | None = begin
        else:
            end = ends.first(partition, begin, int(offset[-1]) + 1)
        if end is not None:
            is_late[rows] = offset >= end
            reached[partition] = int(offset[offset >= end][0])
    if not reached:
        return Cut(records, None, {})
    rest = replace(records.select(is_late), assigned={}, revoked=frozenset(), control_records=())
    return Cut(records.select(~is_late), rest, reached)
