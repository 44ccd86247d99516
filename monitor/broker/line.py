"""Kafka as the worker sees it: beats in, deliveries out, at least once."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from monitor.broker.intake import Intake
from monitor.broker.outbox import Outbox
from monitor.broker.topics import missing_topics
from monitor.errors import BrokerError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.record import Delivery, Records
    from monitor.settings import Settings

log = logging.getLogger(__name__)


class KafkaBroker:
    """At least once: messages are acknowledged before the offsets of their beats are committed.

    Exactly once takes its place here: `deliver` becomes one transaction of messages and offsets.
    """

    def __init__(self, settings: Settings, on_commit: Callable[[], None] = lambda: None) -> None:
        """Connect, check that the topics are there, join the group. `on_commit` is called after each commit.

        Raises BrokerError where Kafka does not answer or topics are missing, RefusedError where settings cannot be.
        """
        if settings.delivery == "exactly-once":
            raise RefusedError(
                "MONITOR_DELIVERY=exactly-once is not there yet: this version delivers at least once, and alert ids "
                "let readers drop doubles; set MONITOR_DELIVERY=at-least-once"
            )
        missing = missing_topics(settings)
        if missing:
            raise BrokerError(
                f"no topic {', '.join(missing)} at {settings.bootstrap_servers}: `ecg-monitor topics create` makes it"
            )
        self._on_commit = on_commit
        self._outbox = Outbox(settings)
        self._intake = Intake(settings)
        self._commit_interval_seconds = settings.commit_interval_ms / 1000
        self._pending: dict[int, int] = {}
        self._committed = time.monotonic()

    def poll(self) -> Records:
        self._commit_when_due()
        return self._intake.poll()

    def deliver(self, delivery: Delivery) -> None:
        if delivery.messages:
            self._outbox.deliver(delivery.messages)
        self._pending.update(delivery.offsets)
        if delivery.messages:
            self._commit()

    def _commit_when_due(self) -> None:
        if self._pending and time.monotonic() - self._committed >= self._commit_interval_seconds:
            self._commit()

    def _commit(self) -> None:
        if self._pending and self._intake.commit(self._pending):
            self._pending = {}
            self._committed = time.monotonic()
            self._on_commit()

    def lag(self) -> Mapping[int, int]:
        return self._intake.lag()

    def joined(self) -> bool:
        return self._intake.joined()

    def close(self) -> None:
        """Commit what was delivered, leave the group; what cannot be committed now will be read again."""
        try:
            self._commit()
        except BrokerError as error:
            log.warning("%s: the last beats will be read again", error)
        self._intake.close()
        self._outbox.close()
