"""The headers of an alert: a CloudEvent 1.0 in the binary mode of Kafka, and the trace of the beat that opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.alarms.alert_fields import AlertFields
    from monitor.records.record import Headers

TYPE = "ecg-monitor.alarm"
TRACEPARENT = "traceparent"
# W3C Trace Context: version, trace, parent, flags. Version ff, and a trace or a parent of zeros, are none.
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def headers(alert: AlertFields, topic: str, traceparent: bytes | None) -> Headers:
    """The headers of an alert on this topic. All but `traceparent` are the same each time that it is written."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event_id(alert["id"], alert["event"], str(alert["offset"])),
        "ce_source": source(topic),
        "ce_type": event_type(alert["event"]),
    }
    if alert["beat_time"] is not None:
        attributes["ce_time"] = alert["beat_time"]
    attributes["content-type"] = "application/json"
    found = tuple((name, text.encode()) for name, text in attributes.items())
    return found if traceparent is None else (*found, (TRACEPARENT, traceparent))


def event_id(alarm: str, event: str, position: str) -> str:
    """The id of an event, the same wherever it is sent; `position` is that of the beat that caused it."""
    return f"{alarm}/{event}/{position}"


def event_type(event: str) -> str:
    return f"{TYPE}.{event}"


def source(alerts_topic: str) -> str:
    """What the ids are unique in."""
    return f"/ecg-monitor/{alerts_topic}"


def traceparent_of(record: Headers) -> bytes | None:
    """The trace that a record belongs to, by its last header of this name; None where that is not in W3C's form."""
    found = next((value for name, value in reversed(record) if name == TRACEPARENT), None)
    return found if found and _TRACE.fullmatch(found) else None
