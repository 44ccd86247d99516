"""What people did to the alarms that this member reads: which are acknowledged, latched, held back by a pause.

A command is applied once: by the member that reads the partition of its alarm, in one checkpoint with its event and
the row of the source. The row names the last command that was applied, so that a replay changes nothing. All commands
stay in memory: a partition that is assigned, or read again after a failure, may need one that came long before.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.alarm_event import AlarmEvent
from monitor.alarms.episodes import StateChange
from monitor.alarms.lifecycle import (
    AlarmLife,
    after_acknowledgement,
    after_event,
    after_further_run,
    after_reminder,
    is_latching,
)
from monitor.alarms.pauses import ACTIVE, Pauses, going_out, held_back
from monitor.alarms.rule import KINDS, QUIET, SourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.alarms.control_message import AcknowledgeCommand
    from monitor.alarms.episodes import Episodes, Observed
    from monitor.alarms.lifecycle import Acknowledgement, LifeRule
    from monitor.alarms.pauses import PauseCommand
    from monitor.alarms.rule import EpisodeState, Event, Kind
    from monitor.beats.beat import Beats

MAX_COMMANDS = 200_000  # of both kinds of 100,000 sources, some 1 KiB each; then the oldest is forgotten
NEVER, END_OF_PAUSE = 2**63 - 1, -(2**63)  # beyond any stream time
Lives = dict["Kind", "AlarmLife"]  # of one source
Place = tuple[int, bytes]  # partition and source


class StepLives(NamedTuple):
    """What became of alarms in a step."""

    events: Sequence[AlarmEvent]  # in the order of their beats, then those that commands cause
    changes: Sequence[StateChange]  # the rows to write
    partitions: frozenset[int]  # in which a command changed something
    useless: int  # commands that name no alarm that is on


class _Due(NamedTuple):
    """An alarm of which something may have to be said at a beat."""

    row: int
    place: Place
    kind: Kind
    since: int = END_OF_PAUSE  # of a reminder: the stream time at which the alarm was acknowledged


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
        self._pauses = Pauses()
        self._held: set[tuple[int, bytes, Kind]] = set()  # alarms that are on and of which something was held back
        self._is_changed = False  # whether a pause that may hold one of them back is another one

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

    def pause(self, command: PauseCommand) -> None:
        """A command came that pauses alarms, or lets them go on."""
        self._pauses.apply(command)
        self._is_changed = bool(self._held)

    def assign(self, partition: int, lives: Mapping[bytes, Lives]) -> None:
        """Replace what is known of a partition by what was stored."""
        self.revoke(partition)
        self._partitions[partition] = dict(lives)
        for source, of in lives.items():
            for kind, life in of.items():
                self._note(partition, source, kind, life)
        self._is_changed = bool(self._held)
        self._pending |= {key for key, command in self._commands.items() if command.partition == partition}

    def revoke(self, partition: int) -> None:
        self._partitions.pop(partition, None)
        self._remind_at.pop(partition, None)
        self._held = {one for one in self._held if one[0] != partition}

    def is_due(self) -> bool:
        """Whether there are commands about partitions that this member reads, or a pause may be over."""
        return self._has_commands() or self._is_changed

    def _has_commands(self) -> bool:
        """Whether there are acknowledgements about partitions that this member reads. Others are dropped here."""
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

    def _life(self, partition: int, source: bytes, kind: Kind) -> AlarmLife | None:
        return (self.of(partition, source) or {}).get(kind)

    def end(
        self, place: Place, episodes: Episodes, positions: Mapping[int, int], given: Acknowledgement
    ) -> Iterator[AlarmEvent]:
        """Close what is on or latched of a source that has ended, and forget it."""
        partition, source = place
        for kind in KINDS:
            life, episode = self._alarm(partition, source, kind, episodes)
            if life is not None and not life.is_unheard:
                offset = _last_offset(positions, partition)
                told = AlarmEvent("closed", kind, source, partition, offset, episode, "off", life.acknowledged)
                yield told._replace(ended=given)
            self._held.discard((partition, source, kind))
        self._partitions.get(partition, {}).pop(source, None)

    def step(self, observed: Observed, beats: Beats, episodes: Episodes, positions: Mapping[int, int]) -> StepLives:
        """What the events of a step, stream time, and the commands that came do to alarms.

        `positions`: the offset of the next record to judge, by partition.
        """
        self._touched = set()
        events = list(self._told(observed, beats, episodes))
        commanded, useless = self._apply(episodes, positions)
        commanded += self._resumed(episodes, positions)
        changes = self._changes(observed.changes, episodes, positions)
        return StepLives([*events, *commanded], changes, frozenset(one.partition for one in commanded), useless)

    def _told(self, observed: Observed, beats: Beats, episodes: Episodes) -> Iterator[AlarmEvent]:
        """What goes out of the events of a batch, with what time makes due between them."""
        due = [*self._reminders(observed, beats), *self._ends_of_pauses(beats)]
        heapify(due)
        for event in observed.events:
            while due and due[0].row < event.row:
                yield from self._due_event(heappop(due), observed, beats, episodes)
            yield from self._of_event(event, observed, beats)
            place, kind = (int(beats.partition[event.row]), event.source), event.kind
            if (*place, kind) in self._held:  # the pause may be over within the batch
                stream = observed.stream_times[place[0]]
                later = slice(event.row + 1, stream.first_row + len(stream.column))
                rows = later.start + np.flatnonzero(beats.source[later] == event.source)
                if (row := self._first_outside(event.source, rows, beats)) is not None:
                    heappush(due, _Due(row, place, kind))
        while due:
            yield from self._due_event(heappop(due), observed, beats, episodes)

    def _of_event(self, event: Event, observed: Observed, beats: Beats) -> Iterator[AlarmEvent]:
        """What goes out of an event of an episode."""
        plain, time = AlarmEvent.of(event, beats), int(beats.time[event.row])
        plain = plain._replace(activation=self._pauses.activation(event.source, time))
        life = self._life(plain.partition, event.source, event.kind)
        if life is not None and (event.void or not life.concerns(event.episode)):
            life = None
        is_held = event.name != "closed" and plain.activation is not ACTIVE
        if life is None and not (is_held or event.is_further or (self._rule.latch_high and is_latching(event))):
            yield plain
            return
        life = life or AlarmLife.of(event.episode, "off" if event.name == "opened" else "on")
        stream = observed.stream_times[plain.partition]
        now = int(stream.column[event.row - stream.first_row])
        yield from self._after(event, plain, life, time if is_held else None, now)

    def _after(
        self, event: Event, plain: AlarmEvent, life: AlarmLife, held_at: int | None, now: int
    ) -> Iterator[AlarmEvent]:
        """The event of an alarm of which something is remembered, or is from now on.

        `held_at`: the time of its beat, where it is paused. `now`: the stream time.
        """
        episode = life.shown(event.episode)
        after, name = after_event(life, replace(event, episode=episode), latch_high=self._rule.latch_high)
        after = after._replace(episode=event.episode.opened_offset)
        if held_at is None:
            after, name = going_out(life, after, name)
        else:
            after, name = held_back(life, after, event, held_at), None
        if event.is_further and name == "updated":
            after, name = after_further_run(after, now)
        if name is None:
            self._keep((plain.partition, event.source), event.kind, after)
            return
        is_again = life.held in {"reopened", "latched"} if life.held else event.reopened or life.state == "latched"
        holds = life.acknowledged if name == "closed" else after.acknowledged
        told = plain._replace(name=name, episode=episode, presence=after.presence, acknowledged=holds)
        cause, is_again = replace(event, episode=episode), name == "opened" and is_again
        yield self._out(told._replace(cause=cause, reopened=is_again), after)

    def _out(self, told: AlarmEvent, life: AlarmLife) -> AlarmEvent:
        """An event that goes out, with how many were left out before it; `life`: after it, to be kept."""
        left_out = 0 if life.further is None else life.further.left_out
        further = None if life.further is None else life.further._replace(left_out=0)
        self._keep((told.partition, told.source), told.kind, life._replace(further=further))
        return told._replace(left_out=left_out)

    def _keep(self, place: Place, kind: Kind, life: AlarmLife) -> None:
        partition, source = place
        self._partitions.setdefault(partition, {}).setdefault(source, {})[kind] = life
        self._note(partition, source, kind, life)
        self._touched.add(place)

    def _note(self, partition: int, source: bytes, kind: Kind, life: AlarmLife) -> None:
        """Note when an alarm has to be looked at again."""
        self._remind_at[partition] = min(self._remind_at.get(partition, NEVER), self._due(life))
        is_waiting = bool(life.held) and life.presence == "on"
        (self._held.add if is_waiting else self._held.discard)((partition, source, kind))

    def _due(self, life: AlarmLife) -> int:
        """The stream time from which on somebody has to be reminded of an alarm."""
        is_due = self._rule.remind_ms and life.state == "acknowledged"
        return life.since + self._rule.remind_ms if is_due else NEVER

    def _reminders(self, observed: Observed, beats: Beats) -> Iterator[_Due]:
        """The reminders that stream time makes due in a batch. In a pause nobody is reminded."""
        for partition, stream in observed.stream_times.items():
            now, end = int(stream.column[-1]), stream.first_row + len(stream.column)
            if now < self._remind_at.get(partition, NEVER):
                continue
            sources = self._partitions.get(partition, {}).items()
            lives = [(source, kind, life, self._due(life)) for source, of in sources for kind, life in of.items()]
            self._remind_at[partition] = min((due for *_, due in lives if due > now), default=NEVER)
            for source, kind, life, due in (one for one in lives if one[-1] <= now):
                rows = np.arange(stream.first_row + int(np.searchsorted(stream.column, due)), end)
                if (row := self._first_outside(source, rows, beats)) is not None:
                    yield _Due(row, (partition, source), kind, life.since)
                else:
                    self._remind_at[partition] = now

    def _first_outside(self, source: bytes, rows: NDArray[np.intp], beats: Beats) -> int | None:
        """The first of these rows (n,) at which there is no pause of a source; None where there is none."""
        outside = np.flatnonzero(self._pauses.outside(source, beats.time[rows]))
        return int(rows[outside[0]]) if len(outside) else None

    def _ends_of_pauses(self, beats: Beats) -> Iterator[_Due]:
        """Of each alarm that was held back, the first beat of its source after the pause."""
        if not self._held:
            return
        places = {(partition, source) for partition, source, _ in self._held}
        rows: dict[Place, list[int]] = {}  # of all in one pass: a pause of all may hold thousands back
        for row, place in enumerate(zip(beats.partition.tolist(), beats.source.tolist(), strict=True)):
            if place in places:
                rows.setdefault(place, []).append(row)
        for partition, source, kind in self._held:
            own = np.array(rows.get((partition, source), ()), np.intp)
            if (first := self._first_outside(source, own, beats)) is not None:
                yield _Due(first, (partition, source), kind)

    def _due_event(self, due: _Due, observed: Observed, beats: Beats, episodes: Episodes) -> Iterator[AlarmEvent]:
        """The event of a reminder or of the end of a pause, where it is still to go out."""
        row, (partition, source), kind, since = due
        life = self._life(partition, source, kind)
        if life is None or life.presence != "on":
            return
        later = (one.episode for one in observed.events if one.row > row and (one.source, one.kind) == (source, kind))
        episode = next(later, _episode(episodes, partition, source, kind))
        plain = AlarmEvent("updated", kind, source, partition, int(beats.offset[row]), episode, "on", row=row)
        if since == END_OF_PAUSE:
            yield from self._announced(plain, life)
        elif life.state == "acknowledged" and life.since == since and not life.held:
            after, name = after_reminder(life)
            shown = life.shown(episode)._replace(priority=life.priority)
            yield self._out(plain._replace(name=name or plain.name, episode=shown), after)

    def _announced(self, plain: AlarmEvent, life: AlarmLife) -> Iterator[AlarmEvent]:
        """What a pause has held back, at its end."""
        after, name = going_out(life, life, None)
        if name is not None:
            shown = life.shown(plain.episode)._replace(priority=life.priority)
            reopened = life.held in {"reopened", "latched"}
            told = plain._replace(name=name, episode=shown, acknowledged=after.acknowledged, reopened=reopened)
            yield self._out(told, after)

    def _resumed(self, episodes: Episodes, positions: Mapping[int, int]) -> Iterator[AlarmEvent]:
        """What was held back, where the pause is taken back or is a shorter one now."""
        self._is_changed = False
        for partition, source, kind in sorted(self._held):
            life = self._life(partition, source, kind)
            if life is None or episodes.state(partition, source) is None or self._pauses.holds(source, life.held_at):
                continue
            offset, episode = _last_offset(positions, partition), _episode(episodes, partition, source, kind)
            yield from self._announced(AlarmEvent("updated", kind, source, partition, offset, episode, "on"), life)

    def _apply(self, episodes: Episodes, positions: Mapping[int, int]) -> tuple[list[AlarmEvent], int]:
        """Apply the commands that are due: their events, and how many name no alarm that is on."""
        if not self._has_commands():
            return [], 0
        events, useless = [], 0
        keys, self._pending = self._pending, set()
        for command in sorted((self._commands[key] for key in keys), key=lambda one: one.given.version):
            partition, source, kind = command.partition, command.source, command.kind
            life, episode = self._alarm(partition, source, kind, episodes)
            if life is None or life.alarm != command.alarm:
                useless += 1
                continue
            after, name = after_acknowledgement(life, command.given, _now(episodes, partition))
            if name is None:
                continue
            if life.held not in {"", "updated"}:  # it goes out at the end of the pause
                self._keep((partition, source), kind, after)
                continue
            presence, offset = after.presence, _last_offset(positions, partition)
            told = AlarmEvent(name, kind, source, partition, offset, episode, presence, after.last)
            told = told._replace(activation=self._pauses.activation(source, command.given.at))
            events.append(self._out(told, after._replace(held="")))
        return events, useless

    def _alarm(
        self, partition: int, source: bytes, kind: Kind, episodes: Episodes
    ) -> tuple[AlarmLife | None, EpisodeState]:
        """The alarm of a source that is on or latched, and the episode that it shows. None: there is none."""
        life, episode = self._life(partition, source, kind), _episode(episodes, partition, source, kind)
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
                now, offset = _now(episodes, change.partition), _last_offset(positions, change.partition)
                changes.append(change._replace(state=SourceState((QUIET, QUIET), now, offset)))
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


def _episode(episodes: Episodes, partition: int, source: bytes, kind: Kind) -> EpisodeState:
    """The last episode of a source; QUIET where nothing is remembered."""
    state = episodes.state(partition, source)
    return QUIET if state is None else state.episodes[KINDS.index(kind)]


def _last_offset(positions: Mapping[int, int], partition: int) -> int:
    """The offset of the last record before a command; 0 where nothing was read."""
    return positions.get(partition, 1) - 1


def _now(episodes: Episodes, partition: int) -> int:
    """The stream time of a partition, ms; 0 before its first beat."""
    time = episodes.stream_time(partition)
    return 0 if time is None else time.now
