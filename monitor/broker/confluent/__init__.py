"""The Kafka client on confluent-kafka, which is built on the C library librdkafka. Its public API alone is used.

The library reads, sends and reconnects on threads of its own, and most of its calls wait without a limit unless they
are told otherwise: every wait here has one. What it cannot do:

- It cannot read headers when the name of one is not UTF-8: such a record comes without headers.
- It cannot write a timestamp of 0: that becomes 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import confluent_kafka

from monitor.broker.confluent.admin import ConfluentAdmin
from monitor.broker.confluent.group import ConfluentGroup
from monitor.broker.confluent.producer import Batching, ConfluentProducer
from monitor.broker.confluent.topic_reader import ConfluentTopic

if TYPE_CHECKING:
    from monitor.settings import Settings


class ConfluentClient:
    """Implements `client.KafkaClient`."""

    name = f"confluent-kafka {confluent_kafka.__version__}"

    def __init__(self) -> None:
        self._batching = Batching()

    def group(self, settings: Settings, wait_seconds: float) -> ConfluentGroup:
        return ConfluentGroup(settings, wait_seconds)

    def topic(self, settings: Settings, topic: str, max_wait_ms: int = 500) -> ConfluentTopic:
        return ConfluentTopic(settings, topic, max_wait_ms)

    def producer(
        self, settings: Settings, wait_seconds: float, *, transactional_id: str | None = None, linger_ms: int = 0
    ) -> ConfluentProducer:
        return ConfluentProducer(
            settings, wait_seconds, self._batching, transactional_id=transactional_id, linger_ms=linger_ms
        )

    def admin(self, settings: Settings, wait_seconds: float) -> ConfluentAdmin:
        return ConfluentAdmin(settings, wait_seconds)
