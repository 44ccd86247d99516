"""Sends messages, and waits for the acknowledgement of each."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from monitor.broker.client import ClientError, Failure
from monitor.broker.limits import WAIT_SECONDS
from monitor.broker.retry import START_SECONDS
from monitor.broker.writing.output_time import OutputTime
from monitor.deadletters.letter import smaller
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from monitor.broker.client import KafkaClient, ProducerClient, Sending
    from monitor.records.record import Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)


class AcknowledgedProducer:
    """A producer without transactions, and the messages that it has not acknowledged yet."""

    def __init__(self, settings: Settings, client: KafkaClient) -> None:
        self._settings, self._client = settings, client
        self._producer: ProducerClient | None = client.producer(settings, START_SECONDS)
        self._batch: tuple[Message, ...] = ()
        self._unsent: list[Message] = []
        self._sending: Sending | None = None
        self._time = OutputTime()

    def deliver(self, messages: tuple[Message, ...]) -> None:
        """Send the messages, and return when the broker has acknowledged all of them.

        Raises BrokerError when one is refused, or gets no answer in time. A call with the same tuple then goes on:
        messages with an acknowledgement are not sent again. A message without an answer can be sent twice, after
        another one has failed.
        """
        if messages is not self._batch:
            self._batch, self._unsent, self._sending = messages, list(messages), None
        if self._unsent:
            self._sending, self._unsent = self._send(self._unsent), []
        try:
            self._wait()
        except ClientError as error:
            left = 0 if self._sending is None else len(self._sending.unacknowledged())
            left += len(self._unsent)
            raise BrokerError(f"{left} of {len(messages)} messages are not acknowledged: {error}") from error

    def _wait(self) -> None:
        """Wait for the acknowledgements of what is sent. Raises ClientError while one is missing."""
        if self._sending is None:
            return
        try:
            self._sending.wait(time.monotonic() + WAIT_SECONDS)
        except ClientError as error:
            if error.failure is Failure.LATE:
                raise
            self._send_alone(self._sending)
        self._sending = None

    def _send(self, messages: list[Message]) -> Sending:
        return self._ready().send(messages, self._time.times(len(messages)))

    def _ready(self) -> ProducerClient:
        if self._producer is None:
            self._producer = self._client.producer(self._settings, WAIT_SECONDS)
        return self._producer

    def _send_alone(self, failed: Sending) -> None:
        """Send failed messages again with a new producer, one at a time, so that each error belongs to its message.

        kafka-python 3.0.12: one batch that the broker refuses puts an idempotent producer into a fatal state, in which
        all its other batches fail with the same error.
        """
        self.close()  # waits for those that have no answer yet
        self._unsent, self._sending = failed.unacknowledged(), None
        while self._unsent:
            try:
                self._send(self._unsent[:1]).wait(time.monotonic() + WAIT_SECONDS)
            except ClientError as error:
                if error.failure is Failure.BAD_TIME:
                    self._time.refuse()
                if error.failure is Failure.TOO_LARGE:
                    self._unsent[0] = _smaller(self._unsent[0])
                    self.close()
                raise
            del self._unsent[0]

    def close(self) -> None:
        if self._producer is not None:  # messages that it did not send are kept here, or their beats are read again
            self._producer.close(WAIT_SECONDS)
        self._producer = None


def _smaller(message: Message) -> Message:
    """The message to send in place of one that is too large: a smaller dead letter, or the same message again."""
    log.error("the broker refuses %d bytes for %s: raise max.message.bytes of that topic", message.size, message.topic)
    return smaller(message) if message.may_omit_value else message
