"""Translates the settings of the connection into options of the client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from monitor.broker.connection.diagnosis import Diagnosis
from monitor.broker.connection.tls import tls_context
from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.patches import make_client
from monitor.broker.kafka_python.tls_sockets import close_after_failed_handshakes

if TYPE_CHECKING:
    from monitor.settings import Settings


def client_config(settings: Settings, wait_seconds: float) -> dict[str, Any]:
    """Options that all clients share; connecting may take `wait_seconds`."""
    config: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        "client_id": settings.client_id,
        "bootstrap_timeout_ms": int(1000 * min(wait_seconds, settings.broker_timeout_seconds)),
        "reconnect_backoff_max_ms": 1000,  # with the client's 30 s we would reconnect long after the broker is back
        "security_protocol": settings.security_protocol,
    }
    if known_versions.is_known():
        config["kafka_client"] = partial(make_client, Diagnosis(settings))
    if settings.security_protocol.endswith("SSL"):
        config["ssl_context"] = tls_context(settings)
        if known_versions.is_known():
            close_after_failed_handshakes(config["ssl_context"])
    if settings.security_protocol.startswith("SASL"):
        config |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.password(),
        }
    return config
