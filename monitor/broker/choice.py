# ruff: noqa: PLC0415 - only the client that is used is imported: each takes a fifth of a second
"""Which Kafka client is used: `MONITOR_KAFKA_CLIENT`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from monitor.broker.client import KafkaClient
    from monitor.settings import Settings


def kafka_client(settings: Settings) -> KafkaClient:
    """The client of the settings. `auto` takes confluent-kafka where it is installed.

    Raises RefusedError where the settings name confluent-kafka and it is not installed.
    """
    wanted, is_installed = settings.kafka_client, find_spec("confluent_kafka") is not None
    if wanted == "confluent" and not is_installed:
        raise RefusedError(
            'MONITOR_KAFKA_CLIENT=confluent needs confluent-kafka: pip install "ecg-monitor[fast]", or set auto'
        )
    if settings.sasl_mechanism == "OAUTHBEARER" and not is_installed:
        raise RefusedError('MONITOR_SASL_MECHANISM=OAUTHBEARER needs confluent-kafka: pip install "ecg-monitor[fast]"')
    if wanted != "kafka-python" and is_installed:
        from monitor.broker.confluent import ConfluentClient

        return ConfluentClient()
    from monitor.broker.kafka_python.client import KafkaPythonClient

    return KafkaPythonClient()
