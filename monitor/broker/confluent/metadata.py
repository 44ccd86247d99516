"""Asks which partitions a topic has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.broker.confluent.client_errors import error_of, translated_errors
from monitor.broker.confluent.offsets import REQUEST_SECONDS

if TYPE_CHECKING:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient

_MISSING = "UNKNOWN_TOPIC_OR_PART"


def topic_metadata(client: AdminClient | Producer, topic: str) -> Any:
    """What the library knows of a topic; None where there is no such topic."""
    what = f"looking at {topic}"
    with translated_errors(what):
        found = client.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic]
    if found.error is None:
        return found
    if found.error.name() == _MISSING:
        return None
    raise error_of(what, found.error)


def partitions_of(client: AdminClient | Producer, topic: str) -> set[int]:
    """The partitions of a topic; none where there is no such topic."""
    found = topic_metadata(client, topic)
    return set() if found is None else set(found.partitions)
