"""Reads the control topic: all of it at the start, then new records, without waiting for them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from monitor.alarms.control_message import MAX_KEY_BYTES, MAX_VALUE_BYTES
from monitor.broker.client import Failure, failure_of
from monitor.broker.reading.reader import Reader
from monitor.broker.retry import retry_while_unavailable
from monitor.errors import BrokerError
from monitor.records.record import ControlRecord

if TYPE_CHECKING:
    from monitor.broker.client import TopicRecord
    from monitor.settings import Settings

log = logging.getLogger(__name__)

WAIT_MS = 2000  # longer than a poll for beats takes: a request for new records is always under way
IDLE_SECONDS = 10.0
POLL_EVERY_SECONDS = 0.2  # each empty poll leaves an error in memory, with all that its frames hold
WARN_EVERY_SECONDS = 60.0


class ControlTopic:
    """Returns each record of the control topic once, in the order of offsets. After a failure it starts again."""

    def __init__(self, settings: Settings) -> None:
        """Read the whole topic. Raises BrokerError where that fails."""
        self._settings = settings
        self._reader: Reader | None = None
        self._warned = self._polled = 0.0
        self._found: list[ControlRecord] = []
        retry_while_unavailable(self._open, settings)

    def _open(self) -> None:
        self._reader = Reader(self._settings, self._settings.control_topic, from_beginning=True, wait_ms=WAIT_MS)
        try:
            self._found = [_control_record(record) for record in self._reader.until_end(IDLE_SECONDS)]
        except BrokerError:
            self.close()
            raise

    def changes(self) -> tuple[ControlRecord, ...]:
        """Records that came since the last call. A failure is logged and not raised, so that beats are still read."""
        if time.monotonic() - self._polled < POLL_EVERY_SECONDS and not self._found:
            return ()
        self._polled = time.monotonic()
        try:
            self._follow()
        except BrokerError as error:
            if time.monotonic() - self._warned > WARN_EVERY_SECONDS:
                log.warning("%s: %s; the thresholds stay as they are", self._settings.control_topic, error)
                self._warned = time.monotonic()
        found, self._found = tuple(self._found), []
        return found

    def _follow(self) -> None:
        if self._reader is None:
            if time.monotonic() - self._warned > WARN_EVERY_SECONDS:
                self._open()
            return
        try:
            self._found += [_control_record(record) for record in self._reader.poll(0)]
        except BrokerError as error:
            if failure_of(error) in {Failure.UNREADABLE, Failure.BROKEN}:  # this reader's next poll would not return
                self.close()
            raise

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None


def _control_record(record: TopicRecord) -> ControlRecord:
    """The record, cut to what `control_message.read` refuses as too large: others cannot fill the memory."""
    key, value = record.key, record.value
    key = None if key is None else key[: MAX_KEY_BYTES + 1]
    return ControlRecord(key, None if value is None else value[: MAX_VALUE_BYTES + 1], record.offset)
