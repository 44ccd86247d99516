"""The loop of a forwarder: reads alerts, sends them, and commits how far the receiver has dealt with them."""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import TYPE_CHECKING

from monitor.errors import BrokerError, RewoundError
from monitor.forward.event import NotAnAlertError, read_event
from monitor.records.record import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.broker import Subscription
    from monitor.forward.destination import Destination
    from monitor.forward.outbox import Outbox
    from monitor.records.record import Assigned, Records
    from monitor.settings import Settings
    from monitor.telemetry.clock import Clock
    from monitor.telemetry.forward_recorder import ForwardRecorder

log = logging.getLogger(__name__)

TURN_SECONDS = 5.0  # of sending between two polls
IGNORED_SECONDS = 60.0  # between two log lines about records that are left out for the same reason
PAUSE_SECONDS = 0.5  # while Kafka is unavailable


class Forwarder:
    """Takes steps until it is asked to stop."""

    def __init__(
        self,
        subscription: Subscription,
        destination: Destination,
        outbox: Outbox,
        recorder: ForwardRecorder,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._subscription, self._destination, self._outbox = subscription, destination, outbox
        self._recorder, self._clock, self._timeout_seconds = recorder, clock, settings.broker_timeout_seconds
        self._session_seconds = settings.session_timeout_ms / 1000
        self._owns_until = -math.inf  # seconds of the monotonic clock; after it another member may have the partitions
        self._next: dict[int, int] = {}  # partition -> offset of the record that comes next
        self._begins: dict[int, int] = {}  # partition -> offset of the first record that is not dealt with before
        self._completing: set[int] = set()  # partitions of which it is not known yet what is on
        self._delivered: dict[int, tuple[int, int]] = {}  # partition -> offset and read_from
        self._ignored: Counter[str] = Counter()
        self._ignored_said: dict[str, float] = {}  # when each reason was logged last
        self._away_since: float | None = None

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Take steps until `should_stop`. Raises BrokerError when Kafka is unavailable for longer than allowed."""
        while not should_stop():
            self.step()

    def step(self) -> None:
        """Read, send, commit. Without Kafka it goes on sending for as long as its partitions are its own."""
        asked = self._clock.monotonic()
        try:
            records = self._subscription.poll(is_held=not self._outbox.has_room())
        except RewoundError as error:
            log.warning("%s", error)
            for partition in list(self._next):
                self._forget(partition)
        except BrokerError as error:
            self._wait_for_kafka(error)
        else:
            if self._away_since is not None:
                log.info("the broker answers again, after %.0f s", self._clock.monotonic() - self._away_since)
            self._away_since, self._owns_until = None, asked + self._session_seconds
            self._recorder.kafka_answered()
            self._take(records)
        self._outbox.send(min(self._clock.monotonic() + TURN_SECONDS, self._owns_until), self._completing)
        self._deliver()
        self._report()

    def _take(self, records: Records) -> None:
        for partition in records.revoked:
            self._forget(partition)
        for partition, assigned in records.assigned.items():
            self._assign(partition, assigned)
        rows = zip(
            records.partition.tolist(), records.offset.tolist(), records.time.tolist(), records.value, strict=True
        )
        for partition, offset, time_ms, value in rows:
            self._next[partition] = offset + 1
            self._take_one(partition, offset, time_ms, value)
            if offset + 1 >= self._begins[partition]:
                self._completing.discard(partition)

    def _take_one(self, partition: int, offset: int, time_ms: int, value: bytes | None) -> None:
        """Anybody may have set the time of a record: one ahead of this clock, or none, counts as now."""
        now_ms = int(1000 * self._clock.wall())
        try:
            event = read_event(value, partition, offset, time_ms if 0 <= time_ms <= now_ms else now_ms)
        except NotAnAlertError as error:
            if offset >= self._begins[partition]:
                self._ignore(str(error), partition, offset)
            return
        if offset < self._begins[partition]:
            self._destination.remember(event)
        else:
            self._outbox.add(event)

    def _ignore(self, why: str, partition: int, offset: int) -> None:
        self._ignored[why] += 1
        now = self._clock.monotonic()
        if now - self._ignored_said.get(why, -math.inf) >= IGNORED_SECONDS:
            self._ignored_said[why] = now
            log.warning("partition %d, offset %d is no alert (%s): it is left out", partition, offset, why)

    def _assign(self, partition: int, assigned: Assigned) -> None:
        self._forget(partition)
        self._next[partition], self._begins[partition] = assigned.read_from, assigned.offset
        self._delivered[partition] = (assigned.offset, assigned.read_from)
        if assigned.read_from < assigned.offset:
            self._completing.add(partition)

    def _forget(self, partition: int) -> None:
        for known in (self._next, self._begins, self._delivered):
            known.pop(partition, None)
        self._completing.discard(partition)
        self._outbox.drop(partition)
        self._destination.revoke(partition)

    def _deliver(self) -> None:
        """Commit up to the first event of each partition that is not dealt with."""
        first = self._outbox.first_offsets()
        for partition, after in self._next.items():
            if partition in self._completing:
                continue
            offset = first.get(partition, max(after, self._begins[partition]))
            place = offset, self._destination.read_from(partition, offset)
            if place != self._delivered[partition]:
                self._delivered[partition] = place
                self._subscription.deliver(Checkpoint(offsets={partition: offset}, read_from={partition: place[1]}))

    def _report(self) -> None:
        oldest_ms = self._outbox.oldest_ms()
        self._recorder.step_ended(
            self._outbox.counts,
            self._ignored,
            self._subscription.lag(),
            waiting_seconds=0.0 if oldest_ms is None else max(0.0, self._clock.wall() - oldest_ms / 1000),
            open_alarms=self._destination.open_alarms(),
        )
        self._recorder.receiver_seen(self._outbox.trouble, is_joined=self._subscription.joined())

    def _wait_for_kafka(self, error: BrokerError) -> None:
        now = self._clock.monotonic()
        if self._away_since is None:
            log.warning("%s: trying again", error)
            self._away_since = now
        self._recorder.kafka_failed(str(error))
        if now - self._away_since > self._timeout_seconds:
            raise BrokerError(f"the broker was lost for {now - self._away_since:.0f} s: {error}") from error
        self._clock.sleep(PAUSE_SECONDS)
