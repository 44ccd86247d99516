"""The fields of alerts and scores, as types: the writer is checked against them, and the published schemas are made
from them. No message is validated here: that would cost more than to write it.

Fields and values may be added. None goes away or changes its meaning: `python -m deploy.asyncapi` refuses that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from monitor.alarms.lifecycle import LifeEvent, Presence
from monitor.alarms.pauses import Activation
from monitor.alarms.recent.technical import TECHNICAL_CAUSES
from monitor.alarms.rule import PHYSIOLOGICAL_CAUSES, Kind
from monitor.alarms.run_rule import Priority
from monitor.beats.beat import SAMPLES

SCHEMA: Literal[1] = 1
ALERT_EVENTS: tuple[LifeEvent, ...] = get_args(LifeEvent)
SILENT = "silent"
READ_AGAIN = "read-again"
ENDED = "ended"
FORGOTTEN = "forgotten"
UNKNOWN_CAUSE = "unknown"

# Open, unlike the other words: who reads alerts shows a cause, and must not stop at one that is new.
_CAUSES = [*PHYSIOLOGICAL_CAUSES, *TECHNICAL_CAUSES[1:], SILENT, READ_AGAIN, ENDED, FORGOTTEN]
Cause = Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$", examples=_CAUSES)]
DecidedBy = Literal["population", "personal"]
Time = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", json_schema_extra={"format": "date-time"})
]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Shape = Annotated[Sequence[float | None], Field(min_length=SAMPLES, max_length=SAMPLES)]


class BeatCounts(TypedDict):
    """Beats of an episode, from the first of the window or run that opened it up to this event."""

    abnormal: Annotated[Count, Field(description="flagged beats")]
    seen: Annotated[Count, Field(description="all beats")]


class AcknowledgedFields(TypedDict):
    """Who has seen an alarm, or ended its source."""

    by: str
    at: Annotated[Time, Field(description="when the command was given")]
    note: str
    version: Annotated[Count, Field(description="offset of the control message")]


def _only_when_closed(schema: dict[str, Any]) -> None:
    """What an end has, and what it has not."""
    nothing = {"type": "null"}
    schema["if"] = {"properties": {"event": {"const": "closed"}}}
    schema["then"] = {"properties": dict.fromkeys(("samples", "reconstruction", "typical"), nothing)}
    schema["else"] = {"properties": {"closed_at": nothing}}


@with_config(ConfigDict(json_schema_extra=_only_when_closed))
class AlertFields(TypedDict):
    """One event of an episode."""

    schema: Literal[1]
    id: Annotated[
        str, Field(min_length=1, description="names the episode: kind:topic:partition:offset of its first beat")
    ]
    event: Annotated[LifeEvent, Field(description="(id, event, offset) is unique")]
    source: Annotated[str, Field(min_length=1, description="the key of the record, as text")]
    kind: Annotated[Kind, Field(description="unusual beats, or a source that cannot be judged as it should be")]
    priority: Annotated[Priority, Field(description="it only rises until the alarm is off")]
    presence: Annotated[
        Presence, Field(description="`off` when it is closed; `latched`: it is over, and nobody has seen it")
    ]
    acknowledged: Annotated[
        AcknowledgedFields | None, Field(description="null: nobody has seen it, or it was taken back")
    ]
    ended: Annotated[AcknowledgedFields | None, Field(description="who ended the source, where that closes the alarm")]
    activation: Annotated[Activation, Field(description="`paused`, or `off` until somebody resumes: nobody is called")]
    paused_until: Annotated[Time | None, Field(description="the time of beats at which the pause ends")]
    reopened: Annotated[bool, Field(description="whether an alarm of before opens again")]
    left_out: Annotated[Count, Field(description="events `updated` before this one that did not go out: too many")]
    cause: Annotated[Cause, Field(description="of the last flagged beat, or why the episode ends without one")]
    marks: Annotated[
        Sequence[Cause], Field(description="technical causes of the beat, where it is judged all the same: a doubt")
    ]
    beat_time: Annotated[Time | None, Field(description="of the beat that caused the event")]
    opened_at: Annotated[Time | None, Field(description="time of the beat that opened the episode")]
    closed_at: Annotated[Time | None, Field(description="null while the episode is open")]
    beats: BeatCounts
    score: Annotated[float | None, Field(description="the model's, of the beat that caused the event")]
    p_value: Annotated[Share | None, Field(description="how rare such a score is among normal beats")]
    personal_score: Annotated[float | None, Field(description="by the source's own profile")]
    decided_by: Annotated[DecidedBy | None, Field(description="the score that decided about the beat")]
    threshold: Annotated[float, Field(description="with which `score` is compared")]
    threshold_version: Annotated[int | None, Field(description="offset of the control message that set it")]
    model_id: str
    topic: Annotated[str, Field(description="with partition and offset: the record that caused the event")]
    partition: Count
    offset: Count
    samples: Annotated[Shape | None, Field(description="the beat on the scale of the model, with four digits")]
    reconstruction: Annotated[Shape | None, Field(description="what the model makes of it")]
    typical: Annotated[Shape | None, Field(description="the source's own typical beat")]
    monitor_version: str


class ScoreFields(TypedDict):
    """The score of one beat."""

    score: Annotated[float | None, Field(description="null where the beat could not be scored")]
    p_value: Annotated[Share | None, Field(description="how rare such a score is among normal beats")]
    abnormal: Annotated[bool | None, Field(description="whether `score` is above `threshold`")]
    threshold: float
    personal_score: Annotated[float | None, Field(description="by the source's own profile; null while it has none")]
    decided_by: Annotated[DecidedBy | None, Field(description="the score that decides whether the beat is flagged")]
    beat_time: Time | None
    partition: Annotated[Count, Field(description="with offset: the record of the beat")]
    offset: Count
