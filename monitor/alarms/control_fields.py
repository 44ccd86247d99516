"""The fields of control messages, as types: the published schemas are made from them. `control_message` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from monitor.alarms.source_end import MAX_PARTITIONS


class CommandFields(TypedDict, total=False):
    """What every command may say for people."""

    by: Annotated[str, Field(description="who gives the command")]
    note: Annotated[str, Field(description="why")]


class ScoreThresholdFields(CommandFields):
    """A threshold as a score."""

    threshold: Annotated[float, Field(gt=0)]


class RateThresholdFields(CommandFields):
    """A threshold as a share of the normal beats that may be flagged."""

    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)]


class ProfileResetFields(CommandFields):
    """A source learns its profile again."""

    reset: Literal[True]


class PauseFields(TypedDict):
    """Alarms call nobody for a while, or do so again."""

    pause: Annotated[bool, Field(description="false: they do so again")]
    by: Annotated[str, Field(min_length=1, description="who; the first 64 characters count")]
    at: Annotated[int, Field(ge=0, description="when, ms since 1970: the pause holds for beats from this time on")]
    until: NotRequired[Annotated[int, Field(ge=0, description="the time of beats at which it ends; without it: never")]]
    note: NotRequired[Annotated[str, Field(description="why; the first 128 characters count")]]


class AcknowledgementFields(TypedDict):
    """Somebody has seen an alarm."""

    alarm: Annotated[str, Field(description="its id")]
    by: Annotated[str, Field(min_length=1, description="who; the first 64 characters count")]
    at: Annotated[int, Field(ge=0, description="when, ms since 1970")]
    note: NotRequired[Annotated[str, Field(description="why; the first 128 characters count")]]


class SourceEndFields(TypedDict):
    """A source has ended: its alarms close, and what was learned of it is dropped."""

    end: Annotated[
        Mapping[Annotated[str, Field(pattern="^[0-9]{1,9}$")], Annotated[int, Field(ge=0)]],
        Field(
            min_length=1,
            max_length=MAX_PARTITIONS,
            description="partition of the beats -> offset: what the source sent before it is over",
        ),
    ]
    topic: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,249}$", description="of the beats")]
    by: Annotated[str, Field(min_length=1, description="who; the first 64 characters count")]
    at: Annotated[int, Field(ge=0, description="when, ms since 1970")]
    note: NotRequired[Annotated[str, Field(description="why; the first 128 characters count")]]
