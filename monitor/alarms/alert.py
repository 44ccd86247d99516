"""Alerts and scores as the messages that `docs/messages.md` describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson

from monitor.alarms import cloud_event
from monitor.alarms.alert_fields import ENDED, FORGOTTEN, READ_AGAIN, SCHEMA, SILENT, UNKNOWN_CAUSE
from monitor.alarms.recent.technical import TECHNICAL_CAUSES
from monitor.alarms.rule import PHYSIOLOGICAL_CAUSES
from monitor.alarms.run_rule import PRIORITIES
from monitor.records.record import Message, record_time, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.alarms.alarm_event import AlarmEvent
    from monitor.alarms.alert_fields import AcknowledgedFields, AlertFields, DecidedBy, ScoreFields
    from monitor.alarms.judged import JudgedBeats
    from monitor.alarms.lifecycle import Acknowledgement
    from monitor.alarms.rule import EpisodeState, Event, Kind
    from monitor.alarms.threshold import ActiveThreshold

    Rounded = NDArray[np.float64] | list[float | None]

VERSION = version("ecg-monitor")
DECIDED_BY: tuple[DecidedBy, DecidedBy] = ("population", "personal")  # the score that decides whether a beat is flagged
SAMPLE_DIGITS = 4
EXACT_POWER = 22  # the highest power of ten that a float64 holds exactly


@dataclass(frozen=True, slots=True)
class AlertOrigin:
    """Where the alerts of this monitor come from, the beats topic and the model, and the topic that they go to."""

    topic: str
    model_id: str
    alerts_topic: str


@dataclass(frozen=True, slots=True)
class Waveform:
    """The beat that caused an event and what is shown beside it, rounded to SAMPLE_DIGITS. None: the alert has none."""

    samples: Rounded | None = None
    reconstruction: Rounded | None = None
    typical: Rounded | None = None  # the source's own typical beat, on the scale of `samples`


def alert(
    told: AlarmEvent,
    judged: JudgedBeats,
    drawn: Waveform,
    origin: AlertOrigin,
    threshold: ActiveThreshold,
    traceparent: bytes | None = None,
) -> Message:
    """One alert; `threshold` is that of its source, `traceparent` that of the beat, for the headers.

    Its id names the alarm: all events of an alarm have the same one. (id, event, offset) is unique.
    """
    fields = _without_beat(told, origin, threshold)
    if told.row is not None:
        fields["beat_time"] = record_time(int(judged.beats.time[told.row]))
    if told.cause is not None:
        _add_beat(fields, told.cause, judged, drawn)
    return _message(fields, told.source, origin, traceparent)


def acknowledged_fields(given: Acknowledgement | None) -> AcknowledgedFields | None:
    """An acknowledgement, or who ended a source, as alerts have it."""
    if given is None:
        return None
    return {"by": given.by, "at": rfc3339(given.at), "note": given.note, "version": given.version}


def _message(fields: AlertFields, source: bytes, origin: AlertOrigin, traceparent: bytes | None) -> Message:
    value = orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
    return Message(origin.alerts_topic, source, value, cloud_event.headers(fields, origin.alerts_topic, traceparent))


def _add_beat(fields: AlertFields, event: Event, judged: JudgedBeats, drawn: Waveform) -> None:
    """Add what the beat says that caused an event of an episode."""
    row = event.row
    fields["cause"] = _cause(event, judged)
    fields["marks"] = [judged.cause[code] for code in event.marks]
    if fields["event"] == "closed":
        fields["closed_at"] = fields["beat_time"]
    if not (event.silent or event.void):  # else a beat of another source: its score says nothing about this one
        fields["score"] = _number(judged.score[row])
        fields["p_value"] = _number(judged.p_value[row])
        fields["personal_score"] = _number(judged.personal[row])
        if event.kind == "physiological":
            fields["decided_by"] = DECIDED_BY[int(judged.decided_personally[row])]
    fields["samples"] = _shape(drawn.samples)
    fields["reconstruction"] = _shape(drawn.reconstruction)
    fields["typical"] = _shape(drawn.typical)


def _without_beat(told: AlarmEvent, origin: AlertOrigin, threshold: ActiveThreshold) -> AlertFields:
    """All fields of an alert, in their order; those that a beat gives are empty."""
    episode = told.episode
    return {
        "schema": SCHEMA,
        "id": episode_id(told.kind, origin.topic, told.partition, episode),
        "event": told.name,
        "source": told.source.decode(),
        "kind": told.kind,
        "priority": PRIORITIES[episode.priority],
        "presence": told.presence,
        "acknowledged": acknowledged_fields(told.acknowledged),
        "ended": acknowledged_fields(told.ended),
        "activation": told.activation.name,
        "paused_until": None if told.activation.until is None else rfc3339(told.activation.until),
        "reopened": told.reopened,
        "left_out": told.left_out,
        "cause": ENDED if told.ended else cause_of(told.kind, episode, TECHNICAL_CAUSES),
        "marks": [],
        "beat_time": None,
        "opened_at": record_time(episode.opened_at),
        "closed_at": None if told.ended is None else rfc3339(told.ended.at),
        "beats": {"abnormal": episode.flagged_beats, "seen": episode.seen_beats},
        "score": None,
        "p_value": None,
        "personal_score": None,
        "decided_by": None,
        "threshold": threshold.value,
        "threshold_version": threshold.version,
        "model_id": origin.model_id,
        "topic": origin.topic,
        "partition": told.partition,
        "offset": told.offset,
        "samples": None,
        "reconstruction": None,
        "typical": None,
        "monitor_version": VERSION,
    }


def _shape(samples: Rounded | None) -> list[float | None] | None:
    """The same: the encoder writes an array as a list, and takes a third of the time for it."""
    return cast("list[float | None] | None", samples)


def waveform(event: Event, judged: JudgedBeats, scored: Mapping[int, Waveform]) -> Waveform:
    """What the alert shows: the scored beat and its reconstruction, a beat without a score as it came, or nothing.

    `scored` holds the waveforms of the beats that caused a physiological event other than an end, by row.
    """
    if event.name == "closed" or event.silent:
        return Waveform()
    if event.kind == "physiological":
        return scored[event.row]
    (samples,) = rounded(judged.beats.samples[event.row : event.row + 1])
    return Waveform(samples)


def _cause(event: Event, judged: JudgedBeats) -> str:
    if event.void:
        return READ_AGAIN
    if event.silent and event.name == "closed":
        return FORGOTTEN if event.forgotten else SILENT
    return cause_of(event.kind, event.episode, judged.cause)


def episode_id(kind: Kind, topic: str, partition: int, episode: EpisodeState) -> str:
    """What names an episode of the beats topic `topic`."""
    return f"{kind}:{topic}:{partition}:{episode.opened_offset}"


def cause_of(kind: Kind, episode: EpisodeState, technical: Sequence[str]) -> str:
    """The cause of an episode's last flagged beat. `technical`: the words of the technical causes, by code."""
    code = episode.cause  # from a state row, which another version may have written
    if kind == "physiological":
        return PHYSIOLOGICAL_CAUSES[code - 1 if 0 < code <= len(PHYSIOLOGICAL_CAUSES) else 0]
    return technical[code] if code < len(technical) else UNKNOWN_CAUSE


def _number(value: float, digits: int = 9) -> float | None:
    """A number in so many digits (9 identify any float32); None for NaN, which JSON does not have."""
    number = float(value)
    return None if math.isnan(number) else float(f"{number:.{digits}g}")


def rounded(samples: NDArray[np.float32]) -> list[Rounded]:
    """Samples of n beats (n, 140) rounded to SAMPLE_DIGITS significant digits, as float64.

    NaN stays, and the encoder writes it as null: each typical beat has NaN in its margins. For infinity it is None.

    Computed for all samples at once, because one number at a time took half of the time of an alert. A sample is
    scaled by a power of ten to a whole number, rounded and scaled back. As long as float64 holds that power exactly
    (EXACT_POWER), the result is the float64 nearest to the decimal. The few rows with other numbers are rounded one by
    one.
    """
    with np.errstate(all="ignore"):  # the logarithm of 0 is replaced below; rows with infinity are redone
        exact = samples.astype(np.float64)
        decimals = SAMPLE_DIGITS - 1 - np.floor(np.log10(np.abs(exact)))
        decimals[exact == 0] = 0
        up, down = 10.0 ** np.maximum(decimals, 0), 10.0 ** np.maximum(-decimals, 0)
        found: list[Rounded] = list(np.rint(exact * up / down) * down / up)
    is_exact = (np.abs(decimals) <= EXACT_POWER) | np.isnan(exact)
    for row in np.flatnonzero(~is_exact.all(axis=1)).tolist():
        found[row] = [_number(sample, SAMPLE_DIGITS) for sample in samples[row].tolist()]
    return found


def scores(judged: JudgedBeats, topic: str) -> Iterator[Message]:
    """A message for `topic` about each beat; the scores and verdicts are null where it could not be scored."""
    beats = judged.beats
    verdicts: list[Any] = [judged.score, judged.p_value, judged.abnormal, judged.threshold]
    verdicts += [judged.personal, judged.decided_personally]
    columns = [beats.source, *verdicts, beats.time, beats.partition, beats.offset]
    for source, score, p_value, abnormal, threshold, personal, personally, time, partition, offset in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        value: ScoreFields = {
            "score": _number(score),
            "p_value": _number(p_value),
            "abnormal": None if math.isnan(score) else abnormal,
            "threshold": threshold,
            "personal_score": _number(personal),
            "decided_by": None if math.isnan(score) else DECIDED_BY[personally],
            "beat_time": record_time(time),
            "partition": partition,
            "offset": offset,
        }
        yield Message(topic, source, orjson.dumps(value))
