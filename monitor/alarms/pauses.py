"""Pauses of alarms: whose events do not call anybody, in which times. No I/O.

A pause holds for beats by their own time, so that a replay holds back the same events. Alarms go on in it: their state
is kept, and what is still on when the pause ends is announced then. What calls nobody goes out also in a pause: the end
of an alarm that was announced, and an acknowledgement of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from monitor.records.stream_time import MAX_TIME_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.lifecycle import AlarmLife, LifeEvent
    from monitor.alarms.rule import Event

Activation = Literal["on", "paused", "off"]
ALL = b"*"  # in the key of a command: every source; one that is named `*` has no commands of its own
FOREVER = MAX_TIME_MS + 1  # until somebody resumes
MAX_PAUSES = 100_000  # of single sources; then the oldest is forgotten


@dataclass(frozen=True, slots=True)
class PauseCommand:
    """A command that pauses the alarms of a source, or lets them go on."""

    source: bytes  # or ALL
    is_on: bool  # False: they go on
    since: int  # beat time from which on it holds, ms
    until: int  # beat time at which it ends; FOREVER: when somebody resumes
    by: str = ""
    note: str = ""
    version: int = 0  # offset of the control record


class ActivationState(NamedTuple):
    """Whether alarms of a source call somebody."""

    name: Activation = "on"
    until: int | None = None  # beat time at which a pause ends, ms


ACTIVE = ActivationState()


class Pauses:
    """The pauses that the control topic has."""

    def __init__(self) -> None:
        self._pauses: dict[bytes, PauseCommand] = {}

    def __bool__(self) -> bool:
        return bool(self._pauses)

    def apply(self, command: PauseCommand) -> None:
        """A command came. The last one of a source counts."""
        self._pauses.pop(command.source, None)
        if command.is_on:
            self._pauses[command.source] = command
            if len(self._pauses) > MAX_PAUSES:
                del self._pauses[next(source for source in self._pauses if source != ALL)]

    def of(self, source: bytes) -> tuple[PauseCommand, ...]:
        """Those that may hold for a source: its own, and that of all."""
        found = self._pauses.get(source), self._pauses.get(ALL)
        return tuple(one for one in found if one is not None)

    def activation(self, source: bytes, time: int) -> ActivationState:
        """Whether alarms of a source call somebody, at a beat of this time, ms."""
        if not self._pauses:
            return ACTIVE
        until = max((one.until for one in self.of(source) if one.since <= time < one.until), default=None)
        if until is None:
            return ACTIVE
        return ActivationState("off") if until == FOREVER else ActivationState("paused", until)

    def holds(self, source: bytes, time: int) -> bool:
        """Whether there is a pause of a source at a beat of this time."""
        return self.activation(source, time) is not ACTIVE

    def outside(self, source: bytes, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """At which of these beat times (n,) there is no pause of a source."""
        found = np.ones(len(times), np.bool_)
        for one in self.of(source):
            found &= (times < one.since) | (times >= one.until)
        return found


def held_back(before: AlarmLife, after: AlarmLife, event: Event, time: int) -> AlarmLife:
    """The life after an event of an episode that does not go out. `time`: of its beat, ms."""
    held = before.held or "updated"
    if event.name == "opened" and before.held != "opened":
        held = "latched" if before.state == "latched" else "reopened" if event.reopened else "opened"
    return after._replace(held=held, held_at=time)


def going_out(before: AlarmLife, after: AlarmLife, name: LifeEvent | None) -> tuple[AlarmLife, LifeEvent | None]:
    """The life after an event that may go out, and which event that is; None: nobody knows that the alarm was on.

    What opened and ended within a pause does not latch: nobody was called.
    """
    if not before.held:
        return after, name
    if after.presence == "on":
        return after._replace(held=""), "updated" if before.held == "updated" else "opened"
    if before.held == "opened":  # kept: when it opens again, that is the first that is heard of it
        return after._replace(state="off"), None
    if before.held == "reopened":
        return after._replace(state="off", held=""), None
    is_still_latched = before.held == after.state == "latched"
    return after._replace(held=""), None if is_still_latched else name
