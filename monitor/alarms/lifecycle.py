"""The life of an alarm, on top of the episodes that are its reason: what people do to it. Pure: a table, no I/O.

The episode machine says `opened`, `updated` and `closed`; people say that they have seen the alarm. An acknowledgement
belongs to one alarm. It is taken back when the priority rises, when the alarm opens again, and when it lasts so long
that somebody has to be reminded. An alarm that latches is not over with its episode: it waits for somebody to see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from monitor.alarms.run_rule import PRIORITIES

if TYPE_CHECKING:
    from monitor.alarms.rule import EpisodeState, Event

Presence = Literal["on", "latched", "off"]
LifeState = Literal["off", "on", "acknowledged", "latched"]
LifeInput = Literal["opened", "updated", "raised", "acknowledge", "remind", "closed", "latching"]
LifeEvent = Literal["opened", "updated", "acknowledged", "reminded", "closed"]
# The event that a pause holds back. `opened`: nobody has heard of the alarm yet; `reopened`: it was told as off, and is
# on; `latched`: it was told as latched, and is on; `updated`: it was told as on, of another priority or before a run.
Held = Literal["", "opened", "reopened", "latched", "updated"]
FURTHER_A_MINUTE, MINUTE_MS = 4, 60_000
HIGH = PRIORITIES.index("high")


class LifeRule(NamedTuple):
    """What the settings say about the life of alarms."""

    latch_high: bool  # whether alarms of high priority latch
    remind_ms: int  # stream time from an acknowledgement to the reminder; 0: there is none


class Transition(NamedTuple):
    """What an input does in a state."""

    after: LifeState
    event: LifeEvent | None  # on the alerts topic; None: nothing happened


# `raised` is an `updated` with a higher priority, `latching` a `closed` of an alarm that latches. A pair that is not
# here cannot happen: the episode machine opens what is not on, and updates and closes what is on only.
TABLE: dict[tuple[LifeState, LifeInput], Transition] = {
    ("off", "opened"): Transition("on", "opened"),
    ("off", "acknowledge"): Transition("off", None),
    ("on", "updated"): Transition("on", "updated"),
    ("on", "raised"): Transition("on", "updated"),
    ("on", "acknowledge"): Transition("acknowledged", "acknowledged"),
    ("on", "closed"): Transition("off", "closed"),
    ("on", "latching"): Transition("latched", "updated"),
    ("acknowledged", "updated"): Transition("acknowledged", "updated"),
    ("acknowledged", "raised"): Transition("on", "updated"),
    ("acknowledged", "acknowledge"): Transition("acknowledged", None),
    ("acknowledged", "remind"): Transition("on", "reminded"),
    ("acknowledged", "closed"): Transition("off", "closed"),
    ("acknowledged", "latching"): Transition("off", "closed"),
    ("latched", "opened"): Transition("on", "opened"),
    ("latched", "acknowledge"): Transition("off", "closed"),
}


class Acknowledgement(NamedTuple):
    """Who has seen an alarm."""

    by: str
    at: int  # when the command was given, ms since the epoch
    note: str
    version: int  # offset of the control record


class FurtherRuns(NamedTuple):
    """The events `updated` by further runs in an alarm, of which FURTHER_A_MINUTE go out."""

    began: int  # stream time at which the minute began, ms
    told: int  # since then
    left_out: int = 0  # since the last event of the alarm that went out


class AlarmLife(NamedTuple):
    """What is remembered of an alarm that was acknowledged, latched or held back. Else its episode says it all."""

    alarm: int  # offset of the beat that opened it: with kind and partition its id
    state: LifeState
    priority: int  # index into PRIORITIES, at its last event
    episode: int  # offset of the beat that opened its last episode: another one, where it opened again while latched
    last: Acknowledgement | None = None  # the last command that was applied, also where it was taken back
    since: int = 0  # stream time at which that was applied, ms
    ended: EpisodeState | None = None  # the alarm as it was when it latched last
    held: Held = ""
    held_at: int = 0  # time of the beat whose event was held back last, ms
    further: FurtherRuns | None = None  # where such have come

    @classmethod
    def of(cls, episode: EpisodeState, state: LifeState = "on") -> AlarmLife:
        """The life of an alarm of which nothing was remembered."""
        return cls(episode.opened_offset, state, episode.priority, episode.opened_offset)

    @property
    def acknowledged(self) -> Acknowledgement | None:
        """The acknowledgement that holds."""
        return self.last if self.state == "acknowledged" else None

    @property
    def presence(self) -> Presence:
        return "on" if self.state == "acknowledged" else self.state

    @property
    def is_unheard(self) -> bool:
        """Whether nobody has heard that the alarm is on: a pause holds that back."""
        return self.held in {"opened", "reopened"}

    def concerns(self, episode: EpisodeState) -> bool:
        """Whether an episode is one of this alarm: what opens while it is latched is."""
        return self.state == "latched" or self.episode == episode.opened_offset

    def shown(self, episode: EpisodeState) -> EpisodeState:
        """An episode of this alarm with what the alarm has from before: when it opened first, and its priority."""
        if self.ended is None:
            return episode
        priority = max(episode.priority, self.priority)
        return episode._replace(opened_offset=self.alarm, opened_at=self.ended.opened_at, priority=priority)

    def now(self, episode: EpisodeState) -> EpisodeState:
        """The same of the last episode; of an alarm that is latched, the alarm as it was then."""
        return self.ended if self.state == "latched" and self.ended is not None else self.shown(episode)


def after_event(life: AlarmLife, event: Event, *, latch_high: bool) -> tuple[AlarmLife, LifeEvent | None]:
    """The life after an event of one of its episodes, and what goes out. `latch_high`: whether high alarms latch.

    `event` has the episode as the alarm shows it, so its priority is no lower than before.
    """
    priority = event.episode.priority
    given: LifeInput = event.name
    if event.name == "updated" and priority > life.priority:
        given = "raised"
    elif latch_high and is_latching(event):
        given = "latching"
    after, name = TABLE[life.state, given]
    ended = event.episode._replace(recent=0, length=0, unflagged=0) if after == "latched" else life.ended
    return life._replace(state=after, priority=priority, ended=ended), name


def after_further_run(life: AlarmLife, now: int) -> tuple[AlarmLife, LifeEvent | None]:
    """The life after a further run at the stream time `now`, ms, and what goes out; None: it is left out.

    A bed whose runs come every few beats would have some fifteen events a minute that all say the same.
    """
    runs = life.further
    if runs is None or now - runs.began >= MINUTE_MS:
        runs = FurtherRuns(now, 0, 0 if runs is None else runs.left_out)
    is_told = runs.told < FURTHER_A_MINUTE
    more = runs._replace(told=runs.told + 1) if is_told else runs._replace(left_out=runs.left_out + 1)
    return life._replace(further=more), "updated" if is_told else None


def is_latching(event: Event) -> bool:
    """Whether an event ends an alarm of the kind that latches: a physiological one of high priority."""
    is_end = event.name == "closed" and not event.void
    return is_end and event.kind == "physiological" and event.episode.priority == HIGH


def after_acknowledgement(life: AlarmLife, given: Acknowledgement, now: int) -> tuple[AlarmLife, LifeEvent | None]:
    """The life after a command, and what goes out; None: it changes nothing.

    A command that was applied before changes nothing: a member that starts reads all commands again. `now`: the stream
    time, ms.
    """
    if life.last is not None and given.version <= life.last.version:
        return life, None
    after, name = TABLE[life.state, "acknowledge"]
    return (life, None) if name is None else (life._replace(state=after, last=given, since=now), name)


def after_reminder(life: AlarmLife) -> tuple[AlarmLife, LifeEvent | None]:
    """The life after it was acknowledged for long, and what goes out."""
    after, name = TABLE[life.state, "remind"]
    return life._replace(state=after), name
