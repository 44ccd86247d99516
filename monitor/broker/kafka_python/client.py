"""Kafka on kafka-python: makes the clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kafka

from monitor.broker.kafka_python.admin import KafkaPythonAdmin
from monitor.broker.kafka_python.group import KafkaPythonGroup
from monitor.broker.kafka_python.producer import KafkaPythonProducer
from monitor.broker.kafka_python.topic_reader import KafkaPythonTopic

if TYPE_CHECKING:
    from monitor.settings import Settings


class KafkaPythonClient:
    """Implements `client.KafkaClient`."""

    name = f"kafka-python {kafka.__version__}"

    def group(self, settings: Settings, wait_seconds: float) -> KafkaPythonGroup:
        return KafkaPythonGroup(settings, wait_seconds)

    def topic(self, settings: Settings, topic: str, max_wait_ms: int = 500) -> KafkaPythonTopic:
        return KafkaPythonTopic(settings, topic, max_wait_ms)

    def producer(
        self, settings: Settings, wait_seconds: float, *, transactional_id: str | None = None, linger_ms: int = 0
    ) -> KafkaPythonProducer:
        return KafkaPythonProducer(settings, wait_seconds, transactional_id=transactional_id, linger_ms=linger_ms)

    def admin(self, settings: Settings, wait_seconds: float) -> KafkaPythonAdmin:
        return KafkaPythonAdmin(settings, wait_seconds)
