"""An event of an alarm, as a record of the alerts topic has it. Anybody may have written that record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from monitor.beats.beat import MAX_KEY_BYTES
from monitor.records.record import rfc3339
from monitor.records.stream_time import is_time

MAX_BYTES = 256 * 1024  # of an alert; those of the monitor have some 4 KiB
MAX_ID_BYTES = 512  # the name of a topic has up to 249
MAX_DEPTH = 8  # of objects and lists in each other. orjson reads 1,024 and writes 254; an alert has 2
_WORD = re.compile(r"[a-z][a-z0-9-]{0,63}")


class NotAnAlertError(Exception):
    """A record that is no alert. The message is a fixed word: nothing of the record is repeated."""


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One event of one alarm. Times are in ms since the epoch; None where the alert has none."""

    partition: int  # of the alerts topic, as `offset` and `written_ms`
    offset: int
    written_ms: int
    id: str  # of the alarm
    name: str  # such as `opened`
    source: str
    kind: str
    cause: str
    priority: str
    opened_ms: int | None
    closed_ms: int | None
    beat_ms: int | None  # of the beat that caused it
    caused_by: int | None  # the offset of the beat that caused it: with `id` and `name` it is of no other event
    value: bytes  # the alert as it is on the topic

    @property
    def is_end(self) -> bool:
        return self.name == "closed"


def read_event(value: bytes | None, partition: int, offset: int, written_ms: int) -> AlertEvent:
    """The event in a record. Raises NotAnAlertError."""
    if not value:
        raise NotAnAlertError("empty")
    if len(value) > MAX_BYTES:
        raise NotAnAlertError("too-large")
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise NotAnAlertError("not-json") from None
    if not isinstance(fields, dict):
        raise NotAnAlertError("not-json")
    _check_depth(fields)
    found = [fields.get(name) for name in ("event", "kind", "cause", "priority")]
    words = [one for one in found if isinstance(one, str) and _WORD.fullmatch(one)]
    if len(words) < len(found):
        raise NotAnAlertError("not-an-alert")
    name, kind, cause, priority = words
    alarm, source = _text(fields.get("id"), MAX_ID_BYTES), _text(fields.get("source"), MAX_KEY_BYTES)
    opened_ms, closed_ms, beat_ms = (_ms(fields.get(time)) for time in ("opened_at", "closed_at", "beat_time"))
    caused_by = fields.get("offset")
    return AlertEvent(
        partition,
        offset,
        written_ms,
        alarm,
        name,
        source,
        kind,
        cause,
        priority,
        opened_ms,
        closed_ms,
        beat_ms,
        caused_by if type(caused_by) is int else None,
        value,
    )


def _check_depth(fields: dict[str, Any]) -> None:
    """Raise NotAnAlertError where an alert is nested too deeply to be written again."""
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        inner = [part for one in level for part in (one.values() if isinstance(one, dict) else one)]
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return
    raise NotAnAlertError("not-an-alert")


def _text(value: Any, most_bytes: int) -> str:
    if not isinstance(value, str) or not 0 < len(value.encode()) <= most_bytes:
        raise NotAnAlertError("not-an-alert")
    return value


def _ms(value: Any) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return int(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def time_text(ms: float) -> str:
    """A time in ms since the epoch as RFC 3339; the epoch itself for one that no calendar has."""
    return rfc3339(int(ms) if is_time(int(ms)) else 0)
