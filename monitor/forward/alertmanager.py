"""Alarms for Alertmanager's API v2: one of its alerts for each alarm.

Alertmanager knows an alert by its labels: one with another `severity` or `cause` is another alert. So where one of them
rises, the one before is resolved in the same request. A cause does not fall back while the alarm is on.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from monitor.forward.event import time_text
from monitor.forward.open_alarms import OpenAlarms
from monitor.forward.request import Request

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitor.forward.event import AlertEvent
    from monitor.forward.open_alarms import OpenAlarm
    from monitor.settings import Settings
    from monitor.telemetry.clock import Clock

CHUNK = 500  # alarms in one request that repeats them; fewer after one that failed
SETTLE_SECONDS = 10.0  # after a start, until what is on is repeated: what ended meanwhile may just be coming
HELD_REPEATS, HELD_SECONDS = 15, 900.0  # how long Alertmanager holds an alarm of which it hears no more


class Alertmanager:
    """Implements `Destination`."""

    def __init__(self, settings: Settings, clock: Clock, open_alarms: OpenAlarms | None = None) -> None:
        self._names_sources = settings.forward_patient_data
        self._resend_seconds = settings.forward_resend_seconds
        self._held_ms = 1000 * max(HELD_SECONDS, HELD_REPEATS * settings.forward_resend_seconds)
        self._clock = clock
        self._open = OpenAlarms(3_600_000 * settings.forward_forget_hours) if open_alarms is None else open_alarms
        self._repeating: list[OpenAlarm] = []
        self._chunk = CHUNK
        self._forgotten_at = clock.monotonic()

    def request(self, event: AlertEvent) -> Request | None:
        if self._open.is_old(event.written_ms, 1000 * self._clock.wall()):
            return None
        before = self._open.get(event)
        now = before.after(event)
        if event.is_end:
            return self._request([self._ended(before, event.closed_ms)])
        ended = [] if self._labels(now) == self._labels(before) else [self._ended(before, None)]
        return self._request([*ended, self._alert(now)])

    def dealt_with(self, event: AlertEvent) -> None:
        self._open.note(event, self._clock.monotonic())

    def remember(self, event: AlertEvent) -> None:
        due_after = min(SETTLE_SECONDS, self._resend_seconds)
        self._open.note(event, self._clock.monotonic() + due_after - self._resend_seconds)

    def repeat(self, without: Collection[int]) -> Request | None:
        now, now_ms = self._clock.monotonic(), 1000 * self._clock.wall()
        if now - self._forgotten_at >= self._resend_seconds:
            self._open.forget(now_ms)
            self._forgotten_at = now
        due = (one for one in self._open if now - one.sent >= self._resend_seconds and one.partition not in without)
        self._repeating = list(islice((one for one in due if not self._open.is_old(one.heard_ms, now_ms)), self._chunk))
        return self._request([self._alert(alarm) for alarm in self._repeating]) if self._repeating else None

    def repeated(self) -> None:
        self._open.told(self._repeating, self._clock.monotonic())
        self._chunk = min(self._chunk + 1, CHUNK)

    def not_repeated(self) -> None:
        """Try with half as many. One alarm alone is tried again after all others."""
        if len(self._repeating) <= 1:
            self._open.told(self._repeating, self._clock.monotonic())
        self._chunk = max(1, len(self._repeating) // 2)

    def probe(self) -> Request | None:
        return self._request([])

    def revoke(self, partition: int) -> None:
        self._open.revoke(partition)

    def read_from(self, partition: int, offset: int) -> int:
        return self._open.read_from(partition, offset)

    def open_alarms(self) -> int:
        return len(self._open)

    def _request(self, alerts: list[dict[str, Any]]) -> Request:
        return Request(orjson.dumps(alerts))

    def _alert(self, alarm: OpenAlarm) -> dict[str, Any]:
        """An alert that Alertmanager takes for firing, until it hears nothing of it for long."""
        now_ms = 1000 * self._clock.wall()
        return {
            "labels": self._labels(alarm),
            "annotations": {"summary": _summary(alarm), "event": alarm.event},
            "startsAt": time_text(self._start_ms(alarm, now_ms)),
            "endsAt": time_text(now_ms + self._held_ms),
        }

    def _ended(self, alarm: OpenAlarm, closed_ms: int | None) -> dict[str, Any]:
        """The same alert, resolved. Its end is no later than now, or it would fire until then."""
        now_ms = 1000 * self._clock.wall()
        start_ms = self._start_ms(alarm, now_ms)
        end_ms = now_ms if closed_ms is None else max(start_ms, min(closed_ms, now_ms))
        return self._alert(alarm) | {"endsAt": time_text(end_ms)}

    def _start_ms(self, alarm: OpenAlarm, now_ms: float) -> float:
        """When the alarm opened, by the time of its beat; not in the future, where a publisher's clock is ahead."""
        return min(alarm.heard_ms if alarm.opened_ms is None else alarm.opened_ms, now_ms)

    def _labels(self, alarm: OpenAlarm) -> dict[str, str]:
        """`alarm` keeps two beds apart, and says nothing about the patient."""
        labels = {
            "alertname": _camel(f"ecg-{alarm.kind}-{alarm.cause}"),
            "alarm": alarm.id,
            "kind": alarm.kind,
            "cause": alarm.cause,
            "severity": alarm.priority,
        }
        return labels | ({"source": alarm.source} if self._names_sources else {})


def _camel(words: str) -> str:
    return "".join(word.capitalize() for word in words.split("-"))


def _summary(alarm: OpenAlarm) -> str:
    return f"{alarm.kind} alarm, {alarm.cause}, {alarm.priority} priority"
