"""The life of an alarm: what people do to it, on top of the episode that is its reason. Pure: a table, no I/O.

The episode machine says `opened`, `updated` and `closed`; people say that they have seen the alarm. An acknowledgement
belongs to one alarm. It is taken back when the priority rises, and when the alarm opens again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from monitor.alarms.rule import EventName

Presence = Literal["on", "off"]
LifeState = Literal["off", "on", "acknowledged"]
LifeInput = Literal["opened", "updated", "raised", "acknowledge", "closed"]
LifeEvent = Literal["opened", "updated", "acknowledged", "closed"]


class Transition(NamedTuple):
    """What an input does in a state."""

    after: LifeState
    event: LifeEvent | None  # on the alerts topic; None: nothing happened


# `raised` is an `updated` with a higher priority. A pair that is not here cannot happen: the episode machine opens
# what is off only, and updates and closes what is on only.
TABLE: dict[tuple[LifeState, LifeInput], Transition] = {
    ("off", "opened"): Transition("on", "opened"),
    ("off", "acknowledge"): Transition("off", None),
    ("on", "updated"): Transition("on", "updated"),
    ("on", "raised"): Transition("on", "updated"),
    ("on", "acknowledge"): Transition("acknowledged", "acknowledged"),
    ("on", "closed"): Transition("off", "closed"),
    ("acknowledged", "updated"): Transition("acknowledged", "updated"),
    ("acknowledged", "raised"): Transition("on", "updated"),
    ("acknowledged", "acknowledge"): Transition("acknowledged", None),
    ("acknowledged", "closed"): Transition("off", "closed"),
}


class Acknowledgement(NamedTuple):
    """Who has seen an alarm."""

    by: str
    at: int  # when the command was given, ms since the epoch
    note: str
    version: int  # offset of the control record


class AlarmLife(NamedTuple):
    """What is remembered of an alarm that was acknowledged. Other alarms need no memory: their episode says it all."""

    alarm: int  # offset of the beat that opened it: with kind and partition its id
    state: LifeState
    priority: int  # index into PRIORITIES, at its last event
    last: Acknowledgement  # the last command that was applied, also where it was taken back

    @property
    def acknowledged(self) -> Acknowledgement | None:
        """The acknowledgement that holds."""
        return self.last if self.state == "acknowledged" else None


def after_event(life: AlarmLife, name: EventName, priority: int) -> AlarmLife:
    """The life after an event of its episode, which has this priority then."""
    is_raised = name == "updated" and priority > life.priority
    return life._replace(state=TABLE[life.state, "raised" if is_raised else name].after, priority=priority)


def after_acknowledgement(
    life: AlarmLife | None, alarm: int, priority: int, given: Acknowledgement, *, is_open: bool
) -> AlarmLife | None:
    """The life after a command, None where it changes nothing.

    A command that was applied before changes nothing: a member that starts reads all commands again.
    `life`: None where the alarm was never acknowledged.
    """
    known = life if life is not None and life.alarm == alarm else None
    state: LifeState = known.state if known is not None else "on"
    state = state if is_open else "off"
    if known is not None and given.version <= known.last.version:
        return None
    after, event = TABLE[state, "acknowledge"]
    return None if event is None else AlarmLife(alarm, after, priority, given)
