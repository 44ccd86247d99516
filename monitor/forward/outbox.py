"""The events that a receiver has not dealt with yet, in their order; sends them, and tries again.

The order within a source is kept. Where the receiver is away, all events wait. Where it fails with one event, those of
the same source wait behind it, and all others go past. An event that it refuses, or fails with again and again while it
takes others, goes to the dead letters.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from monitor.forward.request import Answer, AnswerKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monitor.forward.destination import Destination
    from monitor.forward.event import AlertEvent
    from monitor.forward.request import Request
    from monitor.telemetry.clock import Clock

log = logging.getLogger(__name__)

MAX_EVENTS, MAX_BYTES = 1024, 16 * 1024 * 1024  # that wait; then no more are read
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0  # between two tries; each is twice as long as the one before
FAILURES = 8  # with an event: then it is given up, if the receiver took others meanwhile
FAILURES_IN_A_ROW = 8  # with several events: then the receiver is taken to be away


class Post(Protocol):
    """What sends requests: `connection.Connection`."""

    def post(self, request: Request) -> Answer:
        """Send one request; never raises for what the receiver does."""


class DeadLetters(Protocol):
    """Where refused events go: `dead_letter_file.DeadLetterFile`."""

    def add(self, event: AlertEvent, request: Request, why: str, now_ms: float) -> None:
        """Keep one for good. Raises OSError."""


@dataclass(slots=True)
class Waiting:
    """An event that is not dealt with."""

    event: AlertEvent
    not_before: float = 0.0  # seconds of the monotonic clock
    failures: int = 0
    taken_before: int = 0  # how many events the receiver had taken when it first failed with this one
    is_done: bool = False


@dataclass(slots=True)
class Counts:
    """What happened since the start."""

    taken: int = 0
    repeated: int = 0  # requests that repeated what is on
    retries: int = 0
    refused: int = 0


class Outbox:
    """For one thread."""

    def __init__(self, destination: Destination, post: Post, dead_letters: DeadLetters, clock: Clock) -> None:
        self._destination, self._post, self._dead_letters, self._clock = destination, post, dead_letters, clock
        self._waiting: list[Waiting] = []
        self._bytes = 0
        self._tries = self._in_a_row = 0
        self._not_before = 0.0
        self.counts = Counts()
        self.trouble = ""  # why the receiver takes nothing, as a sentence; empty while it does, as far as is known

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self) -> bool:
        return len(self._waiting) < MAX_EVENTS and self._bytes < MAX_BYTES

    def add(self, event: AlertEvent) -> None:
        self._waiting.append(Waiting(event))
        self._bytes += len(event.value)

    def drop(self, partition: int) -> None:
        """Another member reads this partition, or it is read again."""
        for one in self._waiting:
            one.is_done |= one.event.partition == partition
        self._clear()

    def first_offsets(self) -> Mapping[int, int]:
        """The first record of each partition that is not dealt with."""
        return {one.event.partition: one.event.offset for one in reversed(self._waiting)}

    def oldest_ms(self) -> int | None:
        """When the oldest event that waits was written; None without any."""
        return min((one.event.written_ms for one in self._waiting), default=None)

    def send(self, until: float, without: Collection[int] = ()) -> None:
        """Repeat what is on, and send what is due, no longer than `until`, in seconds of the monotonic clock.

        `without`: partitions of which it is not known yet what is on. What is repeated has half of the time at most.
        """
        began = self._clock.monotonic()
        while self._may_go_on((began + until) / 2) and (request := self._destination.repeat(without)) is not None:
            self._repeat(request)
        blocked: set[str] = set()
        for one in self._waiting:
            if not self._may_go_on(until):
                break
            if one.event.source not in blocked and not self._is_dealt_with(one):
                blocked.add(one.event.source)
        self._clear()

    def _may_go_on(self, until: float) -> bool:
        now = self._clock.monotonic()
        return self._not_before <= now < until

    def _repeat(self, request: Request) -> None:
        answer = self._posted(request)
        if answer.kind is AnswerKind.FAILED:
            self._pause(answer)
        elif answer.kind is not AnswerKind.UNAVAILABLE:
            self._destination.repeated()
            self.counts.repeated += 1
        if answer.kind is AnswerKind.REFUSED:  # it has taken those of them that it could read
            log.warning("%s to alarms that are on: they may be taken for resolved", answer.why)

    def _posted(self, request: Request) -> Answer:
        """Send a request, and note whether the receiver is there at all."""
        answer = self._post.post(request)
        if answer.kind is AnswerKind.UNAVAILABLE:
            self._pause(answer)
        elif answer.kind is not AnswerKind.FAILED:
            self._works()
        return answer

    def _pause(self, answer: Answer) -> None:
        """Send nothing for a while."""
        if self.trouble != answer.why:
            log.warning("%s: trying again", answer.why)
        self.trouble = answer.why
        self.counts.retries += 1
        self._not_before = self._clock.monotonic() + max(_pause_seconds(self._tries), answer.wait_seconds)
        self._tries += 1

    def _works(self) -> None:
        if self.trouble:
            log.info("the receiver takes alarms again")
        self.trouble, self._tries, self._in_a_row = "", 0, 0

    def _is_dealt_with(self, one: Waiting) -> bool:
        """Send an event that is due. Whether later events of its source may follow."""
        if one.not_before > self._clock.monotonic():
            return False
        request = self._destination.request(one.event)
        answer = self._posted(request)
        if answer.kind is AnswerKind.TAKEN:
            self.counts.taken += 1
            one.is_done = True
        elif answer.kind is AnswerKind.REFUSED:
            one.is_done = self._is_put_aside(one, request, answer.why)
        elif answer.kind is AnswerKind.FAILED:
            one.is_done = self._has_failed(one, answer) and self._is_put_aside(one, request, answer.why)
        if one.is_done:
            self._destination.dealt_with(one.event)
        return one.is_done

    def _has_failed(self, one: Waiting, answer: Answer) -> bool:
        """Note that the receiver failed with an event. Whether to give it up."""
        if not one.failures:
            one.taken_before = self.counts.taken
        one.not_before = self._clock.monotonic() + max(_pause_seconds(one.failures), answer.wait_seconds)
        one.failures += 1
        self.counts.retries += 1
        self._in_a_row += 1
        if self._in_a_row >= FAILURES_IN_A_ROW:
            self._pause(answer)
        return one.failures >= FAILURES and self.counts.taken > one.taken_before

    def _is_put_aside(self, one: Waiting, request: Request, why: str) -> bool:
        """Write an event to the dead letters. Where that fails it waits, and its source with it."""
        try:
            self._dead_letters.add(one.event, request, why, 1000 * self._clock.wall())
        except OSError as error:
            log.warning("a dead letter cannot be written: %s: trying again", error.strerror)
            one.not_before = self._clock.monotonic() + MAX_PAUSE_SECONDS
            return False
        log.warning("%s: the event of offset %d is in the dead letters", why, one.event.offset)
        self.counts.refused += 1
        return True

    def _clear(self) -> None:
        self._waiting = [one for one in self._waiting if not one.is_done]
        self._bytes = sum(len(one.event.value) for one in self._waiting)


def _pause_seconds(tries: int) -> float:
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 10), MAX_PAUSE_SECONDS)
