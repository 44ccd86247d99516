"""The acknowledgements of the alarms that this member reads, and the commands that give them.

A command is applied once: by the member that reads the partition of its alarm, in one checkpoint with its event and
the row of the source. The row names the last command that was applied, so that a replay changes nothing. All commands
stay in memory: a partition that is assigned, or read again after a failure, may need one that came long before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from monitor.alarms.episodes import StateChange
from monitor.alarms.lifecycle import after_acknowledgement, after_event
from monitor.alarms.rule import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from monitor.alarms.control_message import AcknowledgeCommand
    from monitor.alarms.episodes import Observed
    from monitor.alarms.lifecycle import Acknowledgement, AlarmLife
    from monitor.alarms.rule import Event, Kind, SourceState

MAX_COMMANDS = 200_000  # of both kinds of 100,000 sources, some 1 KiB each; then the oldest is forgotten
Lives = dict["Kind", "AlarmLife"]  # of one source


class Acknowledged(NamedTuple):
    """An alarm that was acknowledged just now."""

    partition: int
    source: bytes
    kind: Kind
    state: SourceState
    life: AlarmLife


class StepLives(NamedTuple):
    """What became of acknowledgements in a step."""

    shown: Mapping[int, Acknowledgement]  # those that hold at its events, by the index of the event
    applied: Sequence[Acknowledged]
    useless: Sequence[AcknowledgeCommand]  # that name no alarm that is on

    def changes(self, observed: Sequence[StateChange]) -> Sequence[StateChange]:
        """The rows to write: those of the beats, and those of other sources whose alarm was acknowledged."""
        if not self.applied:
            return observed
        changed = {change[:2] for change in observed}
        states = {one[:2]: one.state for one in self.applied if one[:2] not in changed}
        return [*observed, *(StateChange(*place, state) for place, state in states.items())]


class AlarmLives:
    """What people did to the alarms of the partitions that this member reads."""

    def __init__(self, topic: str) -> None:
        """`topic`: that of the beats. Commands about alarms of another one are not for this monitor."""
        self._topic = topic
        self._commands: dict[tuple[Kind, bytes], AcknowledgeCommand] = {}
        self._pending: set[tuple[Kind, bytes]] = set()  # commands to look at in the next step
        self._partitions: dict[int, dict[bytes, Lives]] = {}

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
        self._pending |= {key for key, command in self._commands.items() if command.partition == partition}

    def revoke(self, partition: int) -> None:
        self._partitions.pop(partition, None)

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

    def step(
        self,
        observed: Observed,
        partition_of: Callable[[Event], int],
        state_of: Callable[[int, bytes], SourceState | None],
    ) -> StepLives:
        """What the events of a step do to acknowledgements, and then the commands that came."""
        shown = self._follow(observed.events, partition_of)
        self._forget(observed.changes)
        return StepLives(shown, *self._apply(state_of))

    def _follow(self, events: Sequence[Event], partition_of: Callable[[Event], int]) -> dict[int, Acknowledgement]:
        """The acknowledgement that holds at each of these events, by its index; the events may take some back."""
        found: dict[int, Acknowledgement] = {}
        for index, event in enumerate(events if any(self._partitions.values()) else ()):
            lives = self.of(partition_of(event), event.source)
            life = None if lives is None else lives.get(event.kind)
            if lives is None or life is None or life.alarm != event.episode.opened_offset or event.void:
                continue
            after = lives[event.kind] = after_event(life, event.name, event.episode.priority)
            holds = life.acknowledged if event.name == "closed" else after.acknowledged
            if holds is not None:
                found[index] = holds
        return found

    def _forget(self, changes: Iterable[StateChange]) -> None:
        """Drop what is remembered of alarms that cannot come again."""
        if not any(self._partitions.values()):
            return
        for partition, source, state in changes:
            if (lives := self.of(partition, source)) is None:
                continue
            episodes = () if state is None else zip(KINDS, state.episodes, strict=True)
            alarms = {kind: episode.opened_offset for kind, episode in episodes}
            kept = {kind: life for kind, life in lives.items() if alarms.get(kind) == life.alarm}
            if kept:
                self._partitions[partition][source] = kept
            else:
                del self._partitions[partition][source]

    def _apply(
        self, state_of: Callable[[int, bytes], SourceState | None]
    ) -> tuple[list[Acknowledged], list[AcknowledgeCommand]]:
        """Apply the commands that are due: what was acknowledged, and the commands that name no alarm that is on."""
        if not self.is_due():
            return [], []
        applied, useless = [], []
        keys, self._pending = self._pending, set()
        for command in sorted((self._commands[key] for key in keys), key=lambda one: one.given.version):
            partition, source, kind = command.partition, command.source, command.kind
            state, lives = state_of(partition, source), self.of(partition, source) or {}
            episode = None if state is None else state.episodes[KINDS.index(kind)]
            if state is None or episode is None or episode.opened_offset != command.alarm or not episode.is_open:
                useless.append(command)
                continue
            after = after_acknowledgement(lives.get(kind), command.alarm, episode.priority, command.given, is_open=True)
            if after is not None:
                self._partitions[partition][source] = {**lives, kind: after}
                applied.append(Acknowledged(partition, source, kind, state, after))
        return applied, useless
