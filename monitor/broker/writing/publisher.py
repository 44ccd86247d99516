"""Publishes records for the commands."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from monitor.broker.choice import kafka_client
from monitor.broker.client import ClientError, Sending
from monitor.broker.connection.diagnosis import no_topic
from monitor.broker.retry import COMMAND_SECONDS
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from monitor.records.record import Message
    from monitor.settings import Settings

FLUSH_EVERY = 5000  # the client's own buffer has no bound
FLUSH_SECONDS = 60.0
LINGER_MS = 5


class StampedMessage(NamedTuple):
    """A message with its time in ms since the epoch; None: when it is sent."""

    message: Message
    time_ms: int | None = None


class Publisher:
    """Sends records; `flush` raises when the broker did not accept one of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = kafka_client(settings).producer(settings, COMMAND_SECONDS, linger_ms=LINGER_MS)
        self._sent: list[tuple[StampedMessage, Sending]] = []  # not acknowledged yet, as far as `flush` knows
        self._topics: set[str] = set()  # of which is known that they exist
        self.acknowledged = 0  # records, as of the last `flush`

    def send(self, message: Message, timestamp_ms: int | None = None) -> None:
        """Send in the background; now and then wait for all acknowledgements, as `flush` does."""
        if message.topic not in self._topics:
            self.find(message.topic)
        self._sent.append((StampedMessage(message, timestamp_ms), self._producer.send((message,), (timestamp_ms,))))
        if len(self._sent) >= FLUSH_EVERY:
            self.flush()

    def find(self, topic: str) -> None:
        """Raise BrokerError for a missing topic: a producer would look for it until the message expires."""
        try:
            with closing(kafka_client(self._settings).admin(self._settings, COMMAND_SECONDS)) as admin:
                found = admin.describe(topic)
        except ClientError as error:
            raise BrokerError(f"publishing to {topic}: {error}") from error
        if found is None:
            raise BrokerError(no_topic([topic], self._settings.bootstrap_servers))
        self._topics.add(topic)

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait for every acknowledgement. Raises BrokerError when one did not come.

        After `Failure.LATE` the same call goes on waiting. After any other failure `unacknowledged` has what to send
        again with another publisher.
        """
        deadline = time.monotonic() + seconds
        try:
            self._producer.flush(seconds)
            for _, sending in self._sent:
                sending.wait(deadline)
        except ClientError as error:
            self._keep([one for one in self._sent if one[1].unacknowledged()])
            raise BrokerError(f"the broker did not take every record: {error}") from error
        self._keep([])

    def _keep(self, left: list[tuple[StampedMessage, Sending]]) -> None:
        self.acknowledged += len(self._sent) - len(left)
        self._sent = left

    def unacknowledged(self) -> list[StampedMessage]:
        """What was sent and is not acknowledged, as of the last `flush`."""
        return [stamped for stamped, _ in self._sent]

    def discard(self) -> None:
        """Close without waiting for what is not acknowledged."""
        self._producer.discard()

    def close(self) -> None:
        self._producer.close(FLUSH_SECONDS)
