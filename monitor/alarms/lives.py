"""What people did to the alarms that this member reads: which are acknowledged, latched, or to be reminded of.

A command is applied once: by the member that reads the partition of its alarm, in one checkpoint with its event and
the row of the source. The row names the last command that was applied, so that a replay changes nothing. All commands
stay in memory: a partition that is assigned, or read again after a failure, may need one that came long before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.episodes import StateChange
from monitor.alarms.lifecycle import AlarmLife, after_acknowledgement, after_event, after_reminder, is_latching
from monitor.alarms.rule import KINDS, QUIET, SourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from monitor.alarms.control_message import AcknowledgeCommand
    from monitor.alarms.episodes import Episodes, Observed
    from monitor.alarms.lifecycle import Acknowledgement, LifeEvent, Presence
    from monitor.alarms.rule import EpisodeState, Event, Kind
    from monitor.beats.beat import Beats

MAX_COMMANDS = 200_000  # of both kinds of 100,000 sources, some 1 KiB each; then the oldest is forgotten
NEVER = 2**63 - 1  # later than any stream time
Lives = dict["Kind", "AlarmLife"]  # of one source
Place = tuple[int, bytes]  # partition and source


class LifeRule(NamedTuple):
    """What the settings say about the life of alarms."""

    latch_high: bool  # whether alarms of high priority latch
    remind_ms: int  # stream time from an acknowledgement to the reminder; 0: there is none


class AlarmEvent(NamedTuple):
    """An event of an alarm, as it goes out."""

    name: LifeEvent
    kind: Kind
    source: bytes
    partition: int
    offset: int  # of the record that caused it, or of the last one before a command
    episode: EpisodeState  # as the alarm shows it
    presence: Presence
    acknowledged: Acknowledgement | None = None
    row: int | None = None  # of the beat that caused it; None: a command did
    cause: Event | None = None  # the event of the episode; None: a command or stream time caused it

    @classmethod
    def of(cls, cause: Event, beats: Beats) -> AlarmEvent:
        """That of an alarm of which nothing is remembered."""
        presence: Presence = "off" if cause.name == "closed" else "on"
        place = int(beats.partition[cause.row]), int(beats.offset[cause.row])
        return cls(cause.name, cause.kind, cause.source, *place, cause.episode, presence, row=cause.row, cause=cause)


class StepLives(NamedTuple):
    """What became of alarms in a step."""

    events: Sequence[AlarmEvent]  # in the order of their beats, then those that commands cause
    changes: Sequence[StateChange]  # the rows to write
    partitions: frozenset[int]  # in which a command changed something
    useless: int  # commands that name no alarm that is on


class _Reminder(NamedTuple):
    row: int
    place: Place
    kind: Kind
    since: int


class AlarmLives:
    """What people did to the alarms of the partitions that this member reads."""

    def __init__(self, topic: str, rule: LifeRule) -> None:
        """`topic`: that of the beats. Commands about alarms of another one are not for this monitor."""
        self._topic, self._rule = topic, rule
        self._commands: dict[tuple[Kind, bytes], AcknowledgeCommand] = {}
        self._pending: set[tuple[Kind, bytes]] = set()  # commands to look at in the next step
        self._partitions: dict[int, dict[bytes, Lives]] = {}
        self._remind_at: dict[int, int] = {}  # partition -> no reminder is due before this stream time
        self._touched: set[Place] = set()  # sources whose lives changed in this step

    def add(self, command: AcknowledgeCommand) -> None:
        """A command came. The last one of a source and kind counts: an alarm before that is over."""
        if command.topic == self._topic:
            key = command.kind, command.source
            self._commands.pop(key, None)
            self._commands[key] = command
            self._pending.add(key)
            if len(self._commands) > MAX_COMMANDS:
                oldest = next(iter(self._commands))
                del self._commands[oldest]
                self._pending.discard(oldest)

    def assign(self, partition: int, lives: Mapping[bytes, Lives]) -> None:
        """Replace what is known of a partition by what was stored."""
        self._partitions[partition] = dict(lives)
        due = (self._due(life) for of in lives.values() for life in of.values())
        self._remind_at[partition] = min(due, default=NEVER)
        self._pending |= {key for key, command in self._commands.items() if command.partition == partition}

    def revoke(self, partition: int) -> None:
        self._partitions.pop(partition, None)
        self._remind_at.pop(partition, None)

    def is_due(self) -> bool:
        """Whether there are commands about partitions that this member reads. Those of others are dropped here."""
        if self._pending:
            self._pending = {key for key in self._pending if self._commands[key].partition in self._partitions}
        return bool(self._pending)

    def lookup(self) -> Callable[[int, bytes], Lives | None] | None:
        """`of`, or None where nothing is remembered of any source: rows are written without asking for each then."""
        return self.of if any(self._partitions.values()) else None

    def of(self, partition: int, source: bytes) -> Lives | None:
        """What is remembered of a source."""
        known = self._partitions.get(partition)
        return None if known is None else known.get(source)

    def step(self, observed: Observed, beats: Beats, episodes: Episodes, positions: Mapping[int, int]) -> StepLives:
        """What the events of a step, stream time, and the commands that came do to alarms.

        `positions`: the offset of the next record to judge, by partition.
        """
        self._touched = set()
        events = list(self._told(observed, beats, episodes))
        commanded, useless = self._apply(episodes, positions)
        changes = self._changes(observed.changes, episodes, positions)
        return StepLives([*events, *commanded], changes, frozenset(one.partition for one in commanded), useless)

    def _told(self, observed: Observed, beats: Beats, episodes: Episodes) -> Iterator[AlarmEvent]:
        """What goes out of the events of a batch, with the reminders between them."""
        reminders = self._reminders(observed)
        for event in observed.events:
            while reminders and reminders[-1].row < event.row:
                yield from self._reminded(reminders.pop(), observed, beats, episodes)
            partition = int(beats.partition[event.row])
            life = (self.of(partition, event.source) or {}).get(event.kind)
            if life is not None and (event.void or not life.concerns(event.episode)):
                life = None
            if life is None and not (self._rule.latch_high and is_latching(event)):
                yield AlarmEvent.of(event, beats)
            else:
                yield self._after(event, AlarmEvent.of(event, beats), life or AlarmLife.of(event.episode))
        while reminders:
            yield from self._reminded(reminders.pop(), observed, beats, episodes)

    def _after(self, event: Event, plain: AlarmEvent, life: AlarmLife) -> AlarmEvent:
        """The event of an alarm of which something is remembered, or is from now on."""
        episode = life.shown(event.episode)
        event = replace(event, episode=episode, reopened=event.name == "opened")
        after, name = after_event(life, event, latch_high=self._rule.latch_high)
        self._keep((plain.partition, event.source), event.kind, after._replace(episode=plain.episode.opened_offset))
        holds = life.acknowledged if name == "closed" else after.acknowledged
        told = plain._replace(episode=episode, presence=after.presence, acknowledged=holds, cause=event)
        return told if name is None else told._replace(name=name)

    def _keep(self, place: Place, kind: Kind, life: AlarmLife) -> None:
        partition, source = place
        self._partitions.setdefault(partition, {}).setdefault(source, {})[kind] = life
        self._remind_at[partition] = min(self._remind_at.get(partition, NEVER), self._due(life))
        self._touched.add(place)

    def _due(self, life: AlarmLife) -> int:
        """The stream time from which on somebody has to be reminded of an alarm."""
        is_due = self._rule.remind_ms and life.state == "acknowledged"
        return life.since + self._rule.remind_ms if is_due else NEVER

    def _reminders(self, observed: Observed) -> list[_Reminder]:
        """The reminders that stream time makes due in a batch, the last one first."""
        found: list[_Reminder] = []
        for partition, stream in observed.stream_times.items():
            now = int(stream.column[-1])
            if now < self._remind_at.get(partition, NEVER):
                continue
            sources = self._partitions.get(partition, {}).items()
            lives = [(source, kind, life, self._due(life)) for source, of in sources for kind, life in of.items()]
            self._remind_at[partition] = min((due for *_, due in lives if due > now), default=NEVER)
            for source, kind, life, due in lives:
                row = stream.first_row + int(np.searchsorted(stream.column, due))
                found += [_Reminder(row, (partition, source), kind, life.since)] if due <= now else ()
        return sorted(found, reverse=True)

    def _reminded(
        self, reminder: _Reminder, observed: Observed, beats: Beats, episodes: Episodes
    ) -> Iterator[AlarmEvent]:
        """The event of a reminder, unless the acknowledgement is over by now."""
        row, place, kind, since = reminder
        life = (self.of(*place) or {}).get(kind)
        if life is None or life.state != "acknowledged" or life.since != since:
            return
        after, name = after_reminder(life)
        later = (one.episode for one in observed.events if one.row > row and (one.source, one.kind) == (place[1], kind))
        state = episodes.state(*place)
        episode = next(later, QUIET if state is None else state.episodes[KINDS.index(kind)])
        shown = life.shown(episode)._replace(priority=life.priority)
        self._keep(place, kind, after)
        if name is not None:
            yield AlarmEvent(name, kind, place[1], place[0], int(beats.offset[row]), shown, "on", row=row)

    def _apply(self, episodes: Episodes, positions: Mapping[int, int]) -> tuple[list[AlarmEvent], int]:
        """Apply the commands that are due: their events, and how many name no alarm that is on."""
        if not self.is_due():
            return [], 0
        events, useless = [], 0
        keys, self._pending = self._pending, set()
        for command in sorted((self._commands[key] for key in keys), key=lambda one: one.given.version):
            partition, source, kind = command.partition, command.source, command.kind
            life, episode = self._alarm(partition, source, kind, episodes)
            if life is None or life.alarm != command.alarm:
                useless += 1
                continue
            time = episodes.stream_time(partition)
            after, name = after_acknowledgement(life, command.given, 0 if time is None else time.now)
            if name is not None:
                self._keep((partition, source), kind, after)
                presence, offset = after.presence, positions.get(partition, 1) - 1
                events.append(AlarmEvent(name, kind, source, partition, offset, episode, presence, after.last))
        return events, useless

    def _alarm(
        self, partition: int, source: bytes, kind: Kind, episodes: Episodes
    ) -> tuple[AlarmLife | None, EpisodeState]:
        """The alarm of a source that is on or latched, and the episode that it shows. None: there is none."""
        state, life = episodes.state(partition, source), (self.of(partition, source) or {}).get(kind)
        episode = QUIET if state is None else state.episodes[KINDS.index(kind)]
        if not (episode.is_open or (life is not None and life.state == "latched")):
            return None, QUIET
        if life is None or not life.concerns(episode):
            life = AlarmLife.of(episode)
        return life, life.now(episode)

    def _changes(
        self, observed: Sequence[StateChange], episodes: Episodes, positions: Mapping[int, int]
    ) -> Sequence[StateChange]:
        """The rows to write. What cannot come again is forgotten; what has latched keeps its row without a state."""
        if not any(self._partitions.values()):
            return observed
        known = {change[:2] for change in observed}
        more = [StateChange(*place, episodes.state(*place)) for place in sorted(self._touched - known)]
        changes = []
        for change in (*observed, *more):
            if self._forget(change) and change.state is None:
                time, offset = episodes.stream_time(change.partition), positions.get(change.partition, 1) - 1
                empty = SourceState((QUIET, QUIET), 0 if time is None else time.now, offset)
                changes.append(change._replace(state=empty))
            else:
                changes.append(change)
        return changes

    def _forget(self, change: StateChange) -> bool:
        """Drop what is remembered of alarms of a source that cannot come again. Returns whether something is left."""
        partition, source, state = change
        if (lives := self.of(partition, source)) is None:
            return False
        kinds = () if state is None else zip(KINDS, state.episodes, strict=True)
        episodes = {kind: episode.opened_offset for kind, episode in kinds}
        kept = {kind: one for kind, one in lives.items() if one.state == "latched" or episodes.get(kind) == one.episode}
        if kept:
            self._partitions[partition][source] = kept
        else:
            del self._partitions[partition][source]
        return bool(kept)
