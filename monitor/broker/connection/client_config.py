"""Translates the settings of the connection into options of the Kafka client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from monitor.broker.connection.diagnosis import Diagnosis
from monitor.broker.connection.tls import tls_context
from monitor.broker.kafka_python.known_versions import is_patched
from monitor.broker.kafka_python.patches import make_client

if TYPE_CHECKING:
    from monitor.settings import Settings

COMMAND_SECONDS = 15.0


def client_config(settings: Settings, wait_seconds: float) -> dict[str, Any]:
    """Options that all our clients share; connecting may take `wait_seconds`."""
    config: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        "client_id": f"ecg-monitor-{settings.instance}",
        "bootstrap_timeout_ms": int(1000 * min(wait_seconds, settings.broker_timeout_seconds)),
        "reconnect_backoff_max_ms": 1000,  # with the client's 30 s we would reconnect long after the broker is back
        "security_protocol": settings.security_protocol,
    }
    if is_patched(settings):
        config["kafka_client"] = partial(make_client, Diagnosis(settings))
    if settings.security_protocol.endswith("SSL"):
        config["ssl_context"] = tls_context(settings)
    if settings.security_protocol.startswith("SASL"):
        config |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.password(),
        }
    return config
