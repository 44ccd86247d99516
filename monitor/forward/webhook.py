"""Events for a webhook, as CloudEvents 1.0 over HTTP in binary mode: attributes are headers, the alert is the body."""

from __future__ import annotations

from string import printable
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from monitor.alarms import cloud_event
from monitor.forward.event import time_text
from monitor.forward.request import Request

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitor.forward.event import AlertEvent
    from monitor.settings import Settings

# What a receiver gets that may not know the patient. A field that is not here may name one, as a note of staff can.
PUBLIC = frozenset(
    {
        *("schema", "id", "event", "kind", "priority", "reopened", "cause", "marks", "beat_time", "opened_at"),
        "closed_at",
        *("beats", "score", "p_value", "personal_score", "decided_by", "threshold", "threshold_version", "model_id"),
        *("topic", "partition", "offset", "monitor_version", "presence", "activation"),
    }
)
HIDDEN = ("source", "samples", "reconstruction", "typical")  # null then
_SAFE = "".join(sorted(set(printable) - set('"%') - set(" \t\n\r\x0b\x0c")))


class Webhook:
    """Implements `Destination`. It repeats nothing, so it remembers nothing."""

    def __init__(self, settings: Settings) -> None:
        self._has_patient_data = settings.forward_patient_data
        self._source = cloud_event.source(settings.alerts_topic)

    def request(self, event: AlertEvent) -> Request:
        """The event as a CloudEvent, with the attributes that it has on its topic.

        Its id is the same each time that it is sent, and of no other event.
        """
        attributes = {
            "specversion": "1.0",
            "id": cloud_event.event_id(event.id, event.name, _position(event)),
            "source": self._source,
            "type": cloud_event.event_type(event.name),
            "time": time_text(event.written_ms if event.beat_ms is None else event.beat_ms),
        }
        if self._has_patient_data:
            attributes["subject"] = event.source
        headers = {f"ce-{name}": quote(value, safe=_SAFE) for name, value in attributes.items()}
        return Request(event.value if self._has_patient_data else _without_patient_data(event.value), headers)

    def dealt_with(self, event: AlertEvent) -> None:
        """Nothing: the receiver has it."""

    def remember(self, event: AlertEvent) -> None:
        """Nothing, likewise."""

    def repeat(self, without: Collection[int]) -> Request | None:  # noqa: ARG002 - nothing is repeated
        return None

    def repeated(self) -> None:
        """Nothing was."""

    def not_repeated(self) -> None:
        """Nothing was, likewise."""

    def probe(self) -> Request | None:
        return None

    def revoke(self, partition: int) -> None:
        """Nothing is remembered."""

    def read_from(self, partition: int, offset: int) -> int:  # noqa: ARG002 - nothing is read again
        return offset

    def open_alarms(self) -> int:
        return 0


def _position(event: AlertEvent) -> str:
    return f"{event.partition}.{event.offset}" if event.caused_by is None else str(event.caused_by)


def _without_patient_data(value: bytes) -> bytes:
    fields = orjson.loads(value)
    return orjson.dumps({name: one for name, one in fields.items() if name in PUBLIC} | dict.fromkeys(HIDDEN))
