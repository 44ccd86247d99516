"""The control topic: its whole past at first, then what comes, without ever waiting for it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from kafka.errors import CorruptRecordError

from monitor.broker.clients import Reader
from monitor.broker.connection.client_config import retry_while_unavailable
from monitor.broker.kafka_python.header_names import be_lenient
from monitor.errors import BrokerError
from monitor.records.record import ControlRecord

if TYPE_CHECKING:
    from monitor.settings import Settings

log = logging.getLogger(__name__)

WAIT_MS = 2000  # longer than a poll for beats takes: a request for news is always under way
IDLE_SECONDS = 10.0
ASK_SECONDS = 0.2  # each time the client finds nothing it leaves an error behind, and all that its frames hold
TELL_SECONDS = 60.0


class ControlTopic:
    """Every record of the control topic once, in the order of their offsets; after trouble, all of them again."""

    def __init__(self, settings: Settings) -> None:
        """Read it whole. Raises BrokerError where that cannot be done."""
        self._settings = settings
        self._reader: Reader | None = None
        self._told = self._asked = 0.0
        self._found: list[ControlRecord] = []
        retry_while_unavailable(self._open, settings)

    def _open(self) -> None:
        self._reader = Reader(
            self._settings, self._settings.control_topic, from_beginning=True, is_lenient=False, wait_ms=WAIT_MS
        )
        try:
            self._found = [_change(record) for record in self._reader.until_end(IDLE_SECONDS)]
        except BrokerError:
            self.close()
            raise

    def changes(self) -> tuple[ControlRecord, ...]:
        """What came since the last call. Trouble with this topic is told, and never takes the beats with it."""
        if time.monotonic() - self._asked < ASK_SECONDS and not self._found:
            return ()
        self._asked = time.monotonic()
        try:
            self._follow()
        except BrokerError as error:
            if time.monotonic() - self._told > TELL_SECONDS:
                log.warning("%s: %s; the thresholds stay as they are", self._settings.control_topic, error)
                self._told = time.monotonic()
        found, self._found = tuple(self._found), []
        return found

    def _follow(self) -> None:
        if self._reader is None:
            if time.monotonic() - self._told > TELL_SECONDS:
                self._open()
            return
        try:
            self._found += [_change(record) for record in self._reader.poll(0)]
        except BrokerError as error:
            if isinstance(error.__cause__, CorruptRecordError):  # after which this reader's next poll would not return
                be_lenient()
                self.close()
            raise

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None


def _change(record: Any) -> ControlRecord:
    return ControlRecord(record.key, record.value, record.offset)
