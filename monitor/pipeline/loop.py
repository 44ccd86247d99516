"""The loop: poll, walk, deliver. One columnar batch at a time on one thread.

Where more records wait, two things are done beside it: a batch is scored while the one before it is judged and the
next one is read, and delivered while the next one is judged.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from monitor.alarms import episode_state
from monitor.alarms.judged import Step
from monitor.errors import BrokerError, RewoundError
from monitor.pipeline.step import Components, Parsed, Pipeline
from monitor.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.records.record import Assigned, ControlRecord
    from monitor.settings import Settings

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5  # between two tries while the broker is away
DRAIN_SECONDS = 15.0


class Loop:
    """Walks the line until it is asked to stop. `clock` gives seconds since the epoch, for what people read."""

    def __init__(
        self, line: Components, settings: Settings, model_id: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._line = line
        self._settings = settings
        self._clock = clock
        self._account = Recorder(line.metrics, line.health, settings.beats_topic)
        self._walk = Pipeline(line, settings, model_id, self._account, clock)
        self._ahead: Parsed | None = None  # read, and being scored
        self._in_hand: deque[Step] = deque()  # not delivered yet: one, and the one after it
        self._is_begun = False  # whether the first of them is under way
        self._is_ending = False
        self._lost_since: float | None = None
        self._is_rewound = False
        self._account.ordered(line.thresholds)

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Turn until `should_stop`; then deliver what is in hand. Whether everything that was read is delivered.

        Raises BrokerError when the broker is lost for longer than the limit.
        """
        self._line.health.started = True
        while not should_stop():
            self.turn()
        self._is_ending = True
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._in_hand:
            self.turn()
            if time.monotonic() > deadline:
                raise BrokerError("stopped before the broker took the last alerts: their beats will be read again")
        self._account.ends_all()
        return not self._is_rewound and self._ahead is None

    def turn(self) -> None:
        """One step, or another try at the one in hand; a broker in trouble is waited for, up to the limit."""
        try:
            self._step()
        except RewoundError as error:
            self._in_hand.clear()
            self._ahead = None
            self._is_begun = self._line.health.joined = False
            if self._is_rewound:  # once is a matter between this member and its group
                self._wait_for_broker(error)
            else:
                log.warning("%s", error)
            self._is_rewound = True
        except BrokerError as error:
            self._is_begun = False  # first of all it is seen what came of that
            self._wait_for_broker(error)
        else:
            self._note_broker()
        self._account.broker(self._line.broker.facts(), self._clock())
        self._line.health.turned = time.monotonic()
        self._line.metrics.last_step.set(self._clock())

    def _step(self) -> None:
        broker = self._line.broker
        self._account.begins()
        if not self._in_hand or (self._is_begun and not self._is_ending):
            self._read()
        read: set[int] = set()
        while self._in_hand:
            if len(self._in_hand) == 1 and not self._is_begun and self._may_wait():
                broker.begin(self._in_hand[0].checkpoint)
                self._is_begun = True
                break
            read |= self._deliver()
        self._is_rewound &= not broker.settled()
        self._account.opened(self._line.episodes.open)
        self._line.health.joined = broker.joined()
        self._account.behind(broker.lag(), read, self._clock())

    def _read(self) -> None:
        broker = self._line.broker
        records = broker.poll()
        self._account.polled(records, broker.lag(), self._clock())
        self._hear(records.control_records)
        parsed = self._walk.parse(records) if len(records) else None
        before, self._ahead = self._ahead, None
        if parsed is not None and before is not None:
            parsed = self._walk.begin(parsed)
        for partition in records.revoked:
            self._walk.forget(partition)
        self._resume(records.assigned)
        if before is not None:
            self._in_hand.append(self._walk.finish(before, records.revoked | records.assigned.keys()))
        if parsed is not None and self._may_wait():
            self._ahead = self._walk.begin(parsed)
        elif parsed is not None:
            self._in_hand.append(self._walk.finish(parsed))

    def _may_wait(self) -> bool:
        """Whether a step may be finished after the next one was read: more is there already, and nothing is amiss."""
        return not self._is_ending and self._lost_since is None and self._line.broker.has_more()

    def _deliver(self) -> set[int]:
        """The step whose turn it is; the partitions that got on with it."""
        step = self._in_hand[0]
        self._is_begun = False
        self._line.broker.deliver(step.checkpoint)
        self._account.delivered(step, self._clock())
        self._in_hand.popleft()
        return set(step.checkpoint.offsets)

    def _hear(self, changes: Sequence[ControlRecord]) -> None:
        for change in changes:
            log.debug("control record %d: %s", change.offset, change.key)
            complaint = self._line.thresholds.apply(change)
            if complaint:
                log.warning("%s", complaint)
                self._line.metrics.control_ignored.inc()
        if changes:
            self._account.ordered(self._line.thresholds)
            own = self._line.thresholds.own_count
            log.info("%d control records read; sources with a threshold of their own: %d", len(changes), own)

    def _resume(self, assigned: Mapping[int, Assigned]) -> None:
        """Partitions that begin, or go back: what was known of them gives way to what was delivered."""
        sources = 0
        for partition, one in assigned.items():
            restored = episode_state.restore(one)
            self._walk.resume(partition, one.stream_time, restored)
            sources += len(restored.sources)
            for source, fault in restored.useless.items():
                log.warning("partition %d: a row of episode state is not used: %s", partition, fault)
                log.debug("it is that of %s", source)
            self._line.metrics.state_ignored.inc(len(restored.useless))
        if assigned:
            places = {partition: one.offset for partition, one in sorted(assigned.items())}
            log.info("partitions go on at their offsets %s, with %d sources in trouble", places, sources)

    def _note_broker(self) -> None:
        if self._is_rewound:  # only a commit shows that it works again
            return
        if self._lost_since is not None:
            log.info("the broker answers again, after %.0f s", time.monotonic() - self._lost_since)
        self._lost_since = None
        self._account.broker_answers()

    def _wait_for_broker(self, error: BrokerError) -> None:
        now = time.monotonic()
        self._account.broker_fails(str(error), self._line.broker.lag())
        if self._lost_since is None:
            self._lost_since = now
            log.warning("%s: trying again", error)
        if now - self._lost_since > self._settings.broker_timeout_seconds:
            raise BrokerError(f"the broker was lost for {now - self._lost_since:.0f} s: {error}") from error
        time.sleep(PAUSE_SECONDS)
