"""The facts about a step that the recorder counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.alarms.alarm_event import AlarmEvent
    from monitor.alarms.judged import JudgedBeats
    from monitor.alarms.rule import BeatFlags
    from monitor.profiles import Notice

Stage = Literal["parse", "score", "judge", "encode", "deliver"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What the stages of one step found, and how long each took. Counted once the broker has confirmed the step."""

    judged: JudgedBeats  # without samples, which would be kept in memory until the step is delivered
    flags: BeatFlags  # what the beats count for
    events: Sequence[AlarmEvent]  # each `row` is a row of `judged`
    notices: Sequence[Notice]  # what happened to profiles
    reasons: tuple[str, ...]  # why records are not beats: one entry a dead letter
    shed_records: int  # left out as older than MONITOR_MAX_AGE_SECONDS
    far_ahead: int  # beats with a time too far ahead of their partition's to be believed
    started: float  # monotonic seconds when the records had been read
    seconds: Mapping[Stage, float]  # time of the main thread in each stage so far: all but `deliver`
    useless: int = 0  # acknowledgements that name no alarm that is on
    useless_ends: int = 0  # commands that end a source of which nothing is known, or that sends on
