"""The events that a receiver has not dealt with yet, in their order; sends them, and tries again.

The order within a source is kept. What follows on each answer is in `AFTER`, and in docs/forwarding.md.
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
FAILURES, FAILURES_AGAINST = 8, 4  # with an event, and of these after the receiver took others: then it is given up
ASIDE = 4  # failures with an event: from then on it is tried after those of other sources
FAILING_SOURCES = 8  # without any event taken: then the receiver is taken to be away
REFUSALS_IN_A_ROW = 8  # then something is wrong with the receiver, or with all events
MAX_OF_SOURCE = 256  # events, where nobody else's were tried: then those that fail are given up, so that it can read on
PROBE_SECONDS = 60.0  # without an answer: then it is asked whether it is there


@dataclass(frozen=True, slots=True)
class After:
    """What follows on an answer that leaves an event to be sent again."""

    all_wait: bool  # unless the receiver takes other events
    is_blamed: bool  # the event counts a failure; in the end it is given up


AFTER = {
    AnswerKind.FAILED: After(all_wait=False, is_blamed=True),
    AnswerKind.DOUBTFUL: After(all_wait=True, is_blamed=True),
    AnswerKind.UNAVAILABLE: After(all_wait=True, is_blamed=False),
}


class Post(Protocol):
    """What sends requests: `connection.Connection`."""

    def post(self, request: Request) -> Answer:
        """Send one request; never raises for what the receiver does."""

    def probe(self, request: Request | None) -> Answer:
        """Send a request that changes nothing. None: there is none, so only connect."""


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
    against: int = 0  # of the failures: after the receiver took something else
    taken_before: int = 0  # how many requests the receiver had taken when it first failed with this one
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
        self._tries = self._taken = self._refusals = self._repeat_failures = 0
        self._not_before = self._repeat_not_before = 0.0
        self._asked = -PROBE_SECONDS + clock.monotonic()
        self._failing: set[str] = set()  # sources, since the receiver took something
        self._given_up: set[str] = set()  # sources of which too many events wait behind one that fails
        self._away = self._repeat_trouble = self._refusal = ""
        self.counts = Counts()

    @property
    def trouble(self) -> str:
        """Why an alarm would not reach the receiver now, as a sentence; empty while it would, as far as is known."""
        refusal = self._refusal if self._refusals >= REFUSALS_IN_A_ROW else ""
        return self._away or self._repeat_trouble or refusal

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
        """Send what is due and repeat what is on, no longer than `until`, in seconds of the monotonic clock.

        `without`: partitions of which it is not known yet what is on. Events come first; they leave half of the time
        to repeats, and take what those leave.
        """
        began = self._clock.monotonic()
        self._probe(until)
        self._send_events((began + until) / 2)
        self._send_repeats(until, without)
        self._send_events(until)
        self._clear()

    def _probe(self, until: float) -> None:
        """Ask whether the receiver is there, at the start and where nothing else would show it."""
        is_due = bool(self._away) or self._clock.monotonic() - self._asked >= PROBE_SECONDS
        if self._waiting or not is_due or not self._may_go_on(until):
            return
        answer = self._post.probe(self._destination.probe())
        self._asked = self._clock.monotonic()
        if answer.kind is AnswerKind.TAKEN:
            self._works()
        else:
            self._pause(answer)

    def _send_events(self, until: float) -> None:
        """Events of sources that are in doubt come last, so that one event cannot hold up all."""
        blocked: set[str] = set()
        doubted = {one.event.source for one in self._waiting if one.failures >= ASIDE}
        for one in sorted(self._waiting, key=lambda one: one.event.source in doubted):
            if not self._may_go_on(until):
                break
            if one.event.source not in blocked and not (one.is_done or self._is_dealt_with(one)):
                blocked.add(one.event.source)

    def _send_repeats(self, until: float, without: Collection[int]) -> None:
        """What fails here holds up no event: it has a pause of its own."""
        while self._may_go_on(until) and self._clock.monotonic() >= self._repeat_not_before:
            if (request := self._destination.repeat(without)) is None:
                break
            self._repeat(request)
        if not self._destination.open_alarms():
            self._repeat_trouble = ""

    def _may_go_on(self, until: float) -> bool:
        now = self._clock.monotonic()
        return self._not_before <= now < until

    def _repeat(self, request: Request) -> None:
        answer = self._posted(request)
        if answer.kind is AnswerKind.UNAVAILABLE:
            self.counts.retries += 1
            self._pause(answer)
        elif answer.kind in AFTER:
            self.counts.retries += 1
            self._repeat_trouble = _said(answer, self._repeat_trouble)
            self._repeat_not_before = self._clock.monotonic() + _pause_seconds(self._repeat_failures, answer)
            self._repeat_failures += 1
            self._destination.not_repeated()
        else:
            self._destination.repeated()
            self.counts.repeated += 1
            self._repeat_failures, self._repeat_trouble = 0, ""
        if answer.kind is AnswerKind.REFUSED:  # it has taken those of them that it could read
            log.warning("%s to alarms that are on: they may be taken for resolved", answer.why)

    def _posted(self, request: Request) -> Answer:
        answer = self._post.post(request)
        self._asked = self._clock.monotonic()
        if answer.kind is AnswerKind.TAKEN:
            self._taken += 1
            self._works()
        return answer

    def _pause(self, answer: Answer) -> None:
        """Send nothing for a while."""
        self._away = _said(answer, self._away)
        self._not_before = self._clock.monotonic() + _pause_seconds(self._tries, answer)
        self._tries += 1

    def _works(self) -> None:
        if self._away:
            log.info("the receiver takes alarms again")
        self._away, self._tries = "", 0
        self._failing.clear()

    def _is_dealt_with(self, one: Waiting) -> bool:
        """Send an event that is due. Whether later events of its source may follow."""
        if one.not_before > self._clock.monotonic():
            return False
        request = self._destination.request(one.event)
        if request is None:
            one.is_done = True
            self._destination.dealt_with(one.event)
            return True
        answer = self._posted(request)
        if answer.kind is AnswerKind.TAKEN:
            self.counts.taken += 1
            self._refusals = 0
            self._given_up.discard(one.event.source)
            one.is_done = True
        elif answer.kind is AnswerKind.REFUSED:
            one.is_done = self._is_put_aside(one, request, answer.why)
            self._refused(answer)
        else:
            one.is_done = self._has_failed(one, answer) and self._is_put_aside(one, request, answer.why)
        if one.is_done:
            self._destination.dealt_with(one.event)
        return one.is_done

    def _refused(self, answer: Answer) -> None:
        """Where the receiver takes no event at all, few are lost: after some, each is followed by a pause."""
        self._refusals += 1
        if self._refusals >= REFUSALS_IN_A_ROW:
            self._refusal = _said(answer, self._refusal)
            self._not_before = self._clock.monotonic() + _pause_seconds(self._refusals - REFUSALS_IN_A_ROW, answer)

    def _has_failed(self, one: Waiting, answer: Answer) -> bool:
        """Note that an event was not taken, as `AFTER` says. Whether to give it up."""
        after, source = AFTER[answer.kind], one.event.source
        self.counts.retries += 1
        if not one.failures:
            one.taken_before = self._taken
        took_others = self._taken > one.taken_before
        if after.all_wait and not (after.is_blamed and (took_others or source in self._given_up)):
            self._pause(answer)
        if not after.is_blamed:
            return False
        one.not_before = self._clock.monotonic() + _pause_seconds(one.failures, answer)
        one.failures += 1
        one.against += took_others
        self._failing.add(source)
        if len(self._failing) >= FAILING_SOURCES:
            self._pause(answer)
        if took_others:
            return one.failures >= FAILURES and one.against >= FAILURES_AGAINST
        return self._is_flooded(source) and (one.failures >= FAILURES or source in self._given_up)

    def _is_flooded(self, source: str) -> bool:
        """Whether the events of a source that fails leave no room to try those of others."""
        number = sum(one.event.source == source and not one.is_done for one in self._waiting)
        if self._failing != {source} or number <= MAX_OF_SOURCE:
            return False
        if any(one.event.source == source and one.failures >= FAILURES for one in self._waiting):
            self._given_up.add(source)
        return True

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


def _pause_seconds(tries: int, answer: Answer) -> float:
    return max(min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 10), MAX_PAUSE_SECONDS), answer.wait_seconds)


def _said(answer: Answer, before: str) -> str:
    """What is wrong; it is logged where something else was wrong before."""
    if answer.why != before:
        log.warning("%s: trying again", answer.why)
    return answer.why
