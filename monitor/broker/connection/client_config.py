"""How to reach Kafka: the settings in the client's words, and the client's errors in ours."""

from __future__ import annotations

import logging
import selectors
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kafka.errors import AuthorizationError, KafkaConfigurationError, KafkaError, KafkaTimeoutError

from monitor.broker.connection.diagnosis import Client, UnreachableError
from monitor.broker.connection.tls import tls_context
from monitor.errors import BrokerError, MonitorError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.settings import Settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

START_SECONDS = 60.0
RETRY_SECONDS = 0.5
COMMAND_SECONDS = 15.0


class Selector(selectors.DefaultSelector):
    """That a socket is not waited for yet is told without describing it.

    kafka-python 3.0.12 asks each time it begins to wait. The standard library's answer is an error with the socket's
    addresses in it, put together twice by four calls to the system: a tenth of what the client's threads do.
    """

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """The key of what is registered; KeyError for other sockets, and as the standard library for what is closed."""
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if number >= 0 and number not in set(self.get_map() or (number,)):
            raise KeyError(number)
        return super().get_key(fileobj)


def client_config(settings: Settings, wait_seconds: float) -> dict[str, Any]:
    """Options that every client of ours shares; connecting may take `wait_seconds`."""
    config: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        "client_id": f"ecg-monitor-{settings.instance}",
        "bootstrap_timeout_ms": int(1000 * min(wait_seconds, settings.broker_timeout_seconds)),
        "reconnect_backoff_max_ms": 1000,  # the client's 30 s would leave us away long after the broker is back
        "security_protocol": settings.security_protocol,
        "kafka_client": partial(Client, settings),
        "selector": Selector,
    }
    if settings.security_protocol.endswith("SSL"):
        config["ssl_context"] = tls_context(settings)
    if settings.security_protocol.startswith("SASL"):
        config |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.password(),
        }
    return config


@contextmanager
def translated_connect_errors(settings: Settings) -> Iterator[None]:
    """Turn a failure to build a client into one sentence."""
    try:
        yield
    except UnreachableError as error:
        raise BrokerError(error.args[0]) from error
    except KafkaTimeoutError as error:
        raise BrokerError(
            f"no Kafka answers at {settings.bootstrap_servers} ({error.args[0]}): is it running, and are "
            "MONITOR_BOOTSTRAP_SERVERS and the security settings right?"
        ) from error
    except (KafkaConfigurationError, ValueError, OSError) as error:
        raise RefusedError(f"the settings for Kafka at {settings.bootstrap_servers} cannot be used: {error}") from error
    except KafkaError as error:
        raise BrokerError(f"Kafka at {settings.bootstrap_servers} refuses: {error}") from error


def retry_while_unavailable(call: Callable[[], Answer], settings: Settings) -> Answer:
    """What the call gives, once it does: a cluster of which one node is away refuses now and then what it soon allows.

    Raises BrokerError when it is refused for good, or for longer than a start may take.
    """
    deadline = time.monotonic() + min(START_SECONDS, settings.broker_timeout_seconds)
    while True:
        try:
            return call()
        except BrokerError as error:
            if not getattr(error.__cause__, "retriable", False) or time.monotonic() > deadline:
                raise
            log.info("%s: trying again", error)
            time.sleep(RETRY_SECONDS)


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Turn the client's errors into a BrokerError that says what was being done."""
    try:
        yield
    except AuthorizationError as error:
        raise BrokerError(f"{what}: not authorised ({error}): grant this user access on the broker") from error
    except MonitorError:
        raise
    except KafkaError as error:
        raise BrokerError(f"{what}: {error}") from error
    except Exception as error:  # a deleted topic, a leader that is gone: the client lets KeyError and ValueError out
        raise BrokerError(f"{what}: {type(error).__name__} {error} in the Kafka client") from error


def close_quietly(what: str, close: Callable[[], None]) -> None:
    """Close a client; that it does not do so in order is worth a line and no more."""
    try:
        with translated_errors(f"closing {what}"):
            close()
    except BrokerError as error:
        log.warning("%s", error)
