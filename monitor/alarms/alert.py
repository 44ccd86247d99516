"""What goes out: alerts, scores and dead letters, as the messages that `docs/messages.md` describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from monitor.records.record import Message, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from monitor.alarms.judged import JudgedBeats
    from monitor.alarms.rule import Event
    from monitor.alarms.threshold import ActiveThreshold

    Rounded = NDArray[np.float64] | list[float | None]

VERSION = version("ecg-monitor")
PRIORITY = "medium"
UNUSUAL_SHAPE = "unusual-shape"
SILENT = "silent"
SAMPLE_DIGITS = 4
EXACT_POWER = 22  # the highest power of ten that a float64 holds exactly


@dataclass(frozen=True, slots=True)
class AlertOrigin:
    """What every alert of this monitor says about itself."""

    topic: str
    model_id: str


@dataclass(frozen=True, slots=True)
class Waveform:
    """The beat that opened an episode and what the network made of it, in few digits; None where there is none."""

    samples: Rounded | None = None
    reconstruction: Rounded | None = None


def alert(event: Event, judged: JudgedBeats, shape: Waveform, stamp: AlertOrigin, level: ActiveThreshold) -> bytes:
    """One alert, JSON; `level` is its source's threshold. Its id names the episode; (id, event, offset) is unique."""
    beats, row, episode = judged.beats, event.row, event.episode
    partition, now = int(beats.partition[row]), rfc3339(int(beats.time[row]))
    own = not event.silent  # a silent episode was ended by another source's beat, whose score is none of its business
    return orjson.dumps(
        {
            "id": f"{event.kind}:{stamp.topic}:{partition}:{episode.opened_offset}",
            "event": event.name,
            "source": event.source.decode(),
            "kind": event.kind,
            "priority": PRIORITY,
            "cause": _cause(event, judged),
            "beat_time": now,
            "opened_at": rfc3339(episode.opened_at),
            "closed_at": now if event.name == "closed" else None,
            "beats": {"abnormal": episode.flagged_beats, "seen": episode.seen_beats},
            "score": _number(judged.score[row]) if own else None,
            "p_value": _number(judged.p_value[row]) if own else None,
            "threshold": level.value,
            "threshold_version": level.version,
            "model_id": stamp.model_id,
            "topic": stamp.topic,
            "partition": partition,
            "offset": int(beats.offset[row]),
            "samples": shape.samples,
            "reconstruction": shape.reconstruction,
            "monitor_version": VERSION,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def shape(event: Event, judged: JudgedBeats, shapes: Mapping[int, Waveform]) -> Waveform:
    """What to draw: the scored beat and its reconstruction, or a beat without a score as it came."""
    if event.name == "closed":
        return Waveform()
    if event.kind == "physiological":
        return shapes[event.row]
    (samples,) = rounded(judged.beats.samples[event.row : event.row + 1])
    return Waveform(samples)


def _cause(event: Event, judged: JudgedBeats) -> str:
    if event.silent:
        return SILENT
    if event.kind == "physiological":
        return UNUSUAL_SHAPE
    return judged.cause[event.episode.cause]


def _number(value: float, digits: int = 9) -> float | None:
    """A float32 in as many digits as tell it apart; null for NaN, since JSON has none."""
    number = float(value)
    return None if math.isnan(number) else float(f"{number:.{digits}g}")


def rounded(samples: NDArray[np.float32]) -> list[Rounded]:
    """Beats (n, 140) in four digits a sample, as the nearest float64; null for NaN.

    All at once: a whole number by a power of ten is rounded as its decimal is, while the power is exact. One number
    at a time took half of an alert's time.
    """
    with np.errstate(all="ignore"):  # 0 has no logarithm and needs none, what has no exact power goes the long way
        exact = samples.astype(np.float64)
        places = SAMPLE_DIGITS - 1 - np.floor(np.log10(np.abs(exact)))
        places[exact == 0] = 0
        up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
        found: list[Rounded] = list(np.rint(exact * up / down) * down / up)
    for row in np.flatnonzero(~(np.abs(places) <= EXACT_POWER).all(axis=1)).tolist():
        found[row] = [_number(sample, SAMPLE_DIGITS) for sample in samples[row].tolist()]
    return found


def scores(judged: JudgedBeats, topic: str) -> Iterator[Message]:
    """A message for each beat; null where it could not be scored."""
    beats = judged.beats
    verdicts: list[Any] = [judged.score, judged.p_value, judged.abnormal, judged.threshold]
    columns = [beats.source, *verdicts, beats.time, beats.partition, beats.offset]
    for source, score, p_value, abnormal, threshold, time, partition, offset in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        value = {
            "score": _number(score),
            "p_value": _number(p_value),
            "abnormal": None if np.isnan(score) else abnormal,
            "threshold": threshold,
            "beat_time": rfc3339(time),
            "partition": partition,
            "offset": offset,
        }
        yield Message(topic, source, orjson.dumps(value))
