"""Puts the parts of a forwarder together, runs its loop, and closes everything in order."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from monitor import log as logs
from monitor.alarms.alert import VERSION
from monitor.broker import KafkaSubscription
from monitor.errors import MonitorError
from monitor.forward.alertmanager import Alertmanager
from monitor.forward.connection import Connection
from monitor.forward.dead_letter_file import DeadLetterFile
from monitor.forward.endpoint import Endpoint, endpoint
from monitor.forward.forwarder import Forwarder
from monitor.forward.outbox import Outbox
from monitor.forward.webhook import Webhook
from monitor.stop_request import StopRequest
from monitor.telemetry.clock import SYSTEM_CLOCK
from monitor.telemetry.forward_recorder import ForwardHealth, ForwardMetrics, ForwardRecorder
from monitor.telemetry.metrics import process_registry
from monitor.telemetry.server import serve

if TYPE_CHECKING:
    from monitor.settings import Settings

log = logging.getLogger(__name__)

Kind = Literal["alertmanager", "webhook"]


def run(settings: Settings, kind: Kind) -> None:
    """Forward alarms until SIGTERM or SIGINT; a second signal ends the process at once.

    Raises RefusedError when a setting or a file cannot be used, BrokerError when Kafka is unavailable for too long.
    """
    logs.set_up(settings.log_level, settings.log_format)
    shown = " ".join(f"{name}={value}" for name, value in settings.shown().items() if value)
    log.info("ecg-monitor %s starts to forward to %s with %s", VERSION, kind, shown)
    try:
        with StopRequest() as stop:
            _serve(settings, kind, stop)
    except KeyboardInterrupt:
        if not stop.may_interrupt:  # a second signal
            raise
    except MonitorError as error:
        log.critical("stopped with exit code %d: %s", error.exit_code, error)
        raise
    log.info("stopped: what the receiver has not taken will be read again")


def _serve(settings: Settings, kind: Kind, stop: StopRequest) -> None:
    where = checked_endpoint(settings, kind)
    registry, health = process_registry(), ForwardHealth()
    recorder = ForwardRecorder(ForwardMetrics(registry), health)
    recorder.started(VERSION, kind)
    destination = Alertmanager(settings, SYSTEM_CLOCK) if kind == "alertmanager" else Webhook(settings)
    with ExitStack() as stack:
        letters = stack.enter_context(closing(DeadLetterFile(dead_letters(settings, kind))))
        setting, host, port = "MONITOR_FORWARD_HTTP_PORT", settings.http_host, settings.forward_http_port
        port = stack.enter_context(serve(host, port, registry, health, port_setting=setting))
        log.info("metrics and health at http://%s:%d", host, port)
        connection = stack.enter_context(closing(Connection(where, settings.forward_timeout_seconds)))
        stop.may_interrupt = True  # while it waits for Kafka nothing is lost
        group = group_id(settings, kind)
        subscription = stack.enter_context(closing(KafkaSubscription(settings, settings.alerts_topic, group)))
        stop.may_interrupt = False
        outbox = Outbox(destination, connection, letters, SYSTEM_CLOCK)
        log.info("alarms go to %s, from %s as group %s", where, settings.alerts_topic, group)
        Forwarder(subscription, destination, outbox, recorder, SYSTEM_CLOCK, settings).run(lambda: stop.is_made)


def group_id(settings: Settings, kind: Kind) -> str:
    """The consumer group: one for each kind of receiver, so that both get all alarms."""
    return settings.forward_group_id or f"{settings.group_id}.forward.{kind}"


def dead_letters(settings: Settings, kind: Kind) -> Path:
    """The file of dead letters: one for each kind of receiver, as the group."""
    return settings.forward_dead_letters or Path(f"forward-dead-letters.{kind}.jsonl")


def checked_endpoint(settings: Settings, kind: Kind) -> Endpoint:
    """The receiver's endpoint. Raises RefusedError where it, or the file of its token, cannot be used."""
    where = endpoint(settings, kind)
    where.token()
    if where.is_in_the_clear:
        log.warning("alarms go to %s unencrypted: use https:// outside a network that is yours alone", where)
    return where
