"""Publishes records for the commands."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from monitor.broker.client_errors import close_quietly, translated_errors
from monitor.broker.connection.client_config import COMMAND_SECONDS
from monitor.broker.io_thread import ends_the_process_on_a_defect
from monitor.broker.writing.producer import build_producer, send
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from monitor.records.record import Message
    from monitor.settings import Settings

FLUSH_EVERY = 5000  # the client's own buffer has no bound
FLUSH_SECONDS = 60.0


class Publisher:
    """Sends records; `flush` raises when the broker did not accept one of them."""

    def __init__(self, settings: Settings) -> None:
        self._producer = build_producer(settings, COMMAND_SECONDS, linger_ms=5, batch_size=64 * 1024)
        self._unflushed = 0
        self._failure: Exception | None = None

    def send(self, message: Message, timestamp_ms: int | None = None) -> None:
        """Send in the background; now and then wait for all acknowledgements, as `flush` does."""
        with translated_errors(f"publishing to {message.topic}"):
            send(self._producer, message, timestamp_ms).add_errback(self._failed)
        self._unflushed += 1
        if self._unflushed >= FLUSH_EVERY:
            self.flush()

    @ends_the_process_on_a_defect
    def _failed(self, error: Exception) -> None:
        self._failure = error

    def flush(self) -> None:
        """Wait for every acknowledgement. Raises BrokerError when one did not come."""
        with translated_errors("waiting for acknowledgements"):
            self._producer.flush(timeout=FLUSH_SECONDS)
        self._unflushed = 0
        if self._failure is not None:
            raise BrokerError(f"the broker did not take every record: {self._failure}")

    def close(self) -> None:
        close_quietly("the producer", partial(self._producer.close, timeout=FLUSH_SECONDS))
