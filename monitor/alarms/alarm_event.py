"""An event of an alarm, as it goes out: of its episode, or of what people and time do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from monitor.alarms.pauses import ACTIVE

if TYPE_CHECKING:
    from monitor.alarms.lifecycle import Acknowledgement, LifeEvent, Presence
    from monitor.alarms.pauses import ActivationState
    from monitor.alarms.rule import EpisodeState, Event, Kind
    from monitor.beats.beat import Beats


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
    cause: Event | None = None  # the event of the episode; None: a command or time caused it
    reopened: bool = False  # whether an alarm of before opens again
    activation: ActivationState = ACTIVE
    left_out: int = 0  # events before it that did not go out, because there were too many
    ended: Acknowledgement | None = None  # who has ended the source, where that caused it

    @classmethod
    def of(cls, cause: Event, beats: Beats) -> AlarmEvent:
        """That of an alarm of which nothing is remembered."""
        presence: Presence = "off" if cause.name == "closed" else "on"
        place = int(beats.partition[cause.row]), int(beats.offset[cause.row])
        where = cause.kind, cause.source, *place, cause.episode, presence
        return cls(cause.name, *where, row=cause.row, cause=cause, reopened=cause.reopened)
