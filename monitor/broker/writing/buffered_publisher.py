"""Publishes records of something live: the caller never waits for Kafka.

Records go through a buffer to a thread that sends them, each as soon as the ones before it are acknowledged. While
Kafka takes none they collect in the buffer. When it is full the oldest are dropped, and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from monitor.broker.client import Failure, failure_of
from monitor.broker.limits import WAIT_SECONDS
from monitor.broker.writing.publisher import StampedMessage
from monitor.errors import BrokerError, MonitorError
from monitor.records.record import Message

BUFFER_RECORDS = 10_000  # two hours of one lead, 7 MB
BATCH_RECORDS = 500  # that are sent together after an outage
PAUSE_SECONDS = 1.0  # between two attempts
_FINAL = {Failure.BAD_RECORD, Failure.TOO_LARGE}  # Kafka will never take the record


class RecordPublisher(Protocol):
    """The methods of `Publisher` that are used here."""

    def send(self, message: Message, timestamp_ms: int | None = None) -> None: ...
    def flush(self, seconds: float = ...) -> None: ...
    def unacknowledged(self) -> list[StampedMessage]: ...
    def discard(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that were not published, and the span of their times in ms since the epoch."""

    count: int = 0
    first_ms: int = 0
    last_ms: int = 0

    def plus(self, record: StampedMessage) -> Loss:
        """The same with one more record."""
        time_ms = record.time_ms or 0
        first = min(self.first_ms, time_ms) if self.count else time_ms
        return Loss(self.count + 1, first, max(self.last_ms, time_ms))


class BufferedPublisher:
    """Sends records in a thread of its own. A record may be sent twice where Kafka fails in the middle of it."""

    def __init__(
        self,
        publisher: RecordPublisher,
        connect: Callable[[], RecordPublisher],
        *,
        limit: int = BUFFER_RECORDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """`publisher` is connected; `connect` makes the next one after a failure, or raises BrokerError."""
        self._publisher: RecordPublisher | None = publisher
        self._connect, self._limit, self._pause_seconds = connect, limit, pause_seconds
        self._waiting: deque[StampedMessage] = deque()
        self._in_hand: list[StampedMessage] = []  # of the thread: taken from those that wait, and not acknowledged
        self._unsent: deque[StampedMessage] = deque()  # of those in hand: not given to the publisher
        self._changed = threading.Condition()
        self._is_closing = False
        self._is_given_up = threading.Event()
        self._failure: MonitorError | None = None
        self.trouble = ""  # why Kafka takes nothing at present; empty while it does
        self.published = 0
        self.dropped = Loss()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def send(self, message: Message, time_ms: int) -> None:
        """Send in the background, and return at once. Raises what ended the thread."""
        if self._failure is not None:
            raise self._failure
        if not self._thread.is_alive():
            raise RuntimeError("the thread that publishes has ended")
        with self._changed:
            if len(self._waiting) >= self._limit:
                self.dropped = self.dropped.plus(self._waiting.popleft())
            self._waiting.append(StampedMessage(message, time_ms))
            self._changed.notify_all()

    def left(self) -> Loss:
        """What is not acknowledged. After `close` it is lost, as far as is known."""
        found = Loss()
        with self._changed:
            for one in (*self._in_hand, *self._waiting):
                found = found.plus(one)
        return found

    def close(self, seconds: float) -> None:
        """Send what is left, for at most so long. Raises what ended the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(seconds)
        self._is_given_up.set()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._is_given_up.is_set() and (self._in_hand or self._take()):
                self._send_in_hand()
        except MonitorError as error:
            self._failure = error
        self._discard()

    def _take(self) -> bool:
        """Wait for records and take them in hand; False when there are none and no more come."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._is_closing)
            count = min(BATCH_RECORDS, len(self._waiting))
            self._in_hand = [self._waiting.popleft() for _ in range(count)]
        self._unsent = deque(self._in_hand)
        return count > 0

    def _send_in_hand(self) -> None:
        """Send and wait for acknowledgements. After a BrokerError the same call goes on."""
        try:
            self._publisher = self._publisher or self._connect()
            while self._unsent:
                self._publisher.send(*self._unsent[0])
                self._unsent.popleft()
            self._publisher.flush(WAIT_SECONDS)
        except BrokerError as error:
            self._failed(error)
        else:
            self.trouble = ""
            self._keep([])

    def _failed(self, error: BrokerError) -> None:
        """Keep what is to be sent again, and pause. Raises the error if Kafka will never take a record."""
        failure = failure_of(error)
        if failure in _FINAL:
            raise error
        self.trouble = str(error)
        if failure is not Failure.LATE and self._publisher is not None:  # what is late may still be acknowledged
            self._keep([*self._publisher.unacknowledged(), *self._unsent])
            self._unsent = deque(self._in_hand)
            self._discard()
        self._is_given_up.wait(self._pause_seconds)

    def _keep(self, left: list[StampedMessage]) -> None:
        """Count the records in hand as published, but those that are left."""
        with self._changed:
            self.published += len(self._in_hand) - len(left)
            self._in_hand = left

    def _discard(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.discard()
