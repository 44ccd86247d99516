"""The walk: poll, parse, score, judge, observe, encode, deliver. One thread, one columnar batch at a time.

Where more records wait, a batch is delivered in the background while the next one is read and judged.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import alert, beat, state
from monitor.account import Account, Step
from monitor.alert import Judged, Shape, Stamp
from monitor.errors import BrokerError, RewoundError
from monitor.record import Delivery, Message, parts
from monitor.scorer import CAUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.broker import Broker
    from monitor.episode import Episodes, Event
    from monitor.health import Health
    from monitor.metrics import Metrics
    from monitor.record import Change, Records, Resumed
    from monitor.scorer import Scorer
    from monitor.settings import Settings
    from monitor.threshold import Thresholds

log = logging.getLogger(__name__)

CAUSE_NAMES = ("", *CAUSES)
PAUSE_SECONDS = 0.5  # between two tries while the broker is away
DRAIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Line:
    """The parts that the worker walks through."""

    broker: Broker
    scorer: Scorer
    thresholds: Thresholds
    episodes: Episodes
    metrics: Metrics
    health: Health


class Worker:
    """Walks the line until it is asked to stop. `clock` gives seconds since the epoch, for what people read."""

    def __init__(self, line: Line, settings: Settings, model_id: str, clock: Callable[[], float] = time.time) -> None:
        self._line = line
        self._settings = settings
        self._clock = clock
        self._stamp = Stamp(settings.beats_topic, model_id)
        self._account = Account(line.metrics, line.health, settings.beats_topic)
        self._in_hand: deque[Step] = deque()  # not delivered yet: one, and the one after it
        self._is_begun = False  # whether the first of them is under way
        self._is_ending = False
        self._outdated: dict[int, tuple[bytes, ...]] = {}  # partition -> state of a future that was taken back
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
        return not self._is_rewound

    def turn(self) -> None:
        """One step, or another try at the one in hand; a broker in trouble is waited for, up to the limit."""
        try:
            self._step()
        except RewoundError as error:
            self._in_hand.clear()
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
        self._line.health.turned = time.monotonic()
        self._line.metrics.last_step.set(self._clock())

    def _step(self) -> None:
        broker = self._line.broker
        self._account.begins()
        if not self._in_hand or (self._is_begun and not self._is_ending):
            self._read()
        read: set[int] = set()
        while self._in_hand:
            must_end = self._is_begun or self._is_ending or self._lost_since is not None
            if len(self._in_hand) == 1 and not must_end and broker.has_more():
                broker.begin(self._in_hand[0].delivery)
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
        self._hear(records.changes)
        for partition in records.lost:
            self._line.episodes.forget(partition)
            self._outdated.pop(partition, None)
        self._resume(records.resumed)
        if len(records):
            self._in_hand.append(self._walk(records))

    def _deliver(self) -> set[int]:
        """The step whose turn it is; the partitions that got on with it."""
        step = self._in_hand[0]
        self._is_begun = False
        self._line.broker.deliver(step.delivery)
        self._account.delivered(step, self._clock())
        self._in_hand.popleft()
        return set(step.delivery.offsets)

    def _hear(self, changes: Sequence[Change]) -> None:
        for change in changes:
            log.debug("control record %d: %s", change.offset, change.key)
            complaint = self._line.thresholds.change(change)
            if complaint:
                log.warning("%s", complaint)
                self._line.metrics.control_ignored.inc()
        if changes:
            self._account.ordered(self._line.thresholds)
            own = self._line.thresholds.own_count
            log.info("%d control records read; sources with a threshold of their own: %d", len(changes), own)

    def _resume(self, resumed: Mapping[int, Resumed]) -> None:
        """Partitions that begin, or go back: what was known of them gives way to what was delivered."""
        sources = 0
        for partition, one in resumed.items():
            restored = state.restore(one)
            self._line.episodes.restore(partition, one.clock, restored.sources)
            sources += len(restored.sources)
            for source, fault in restored.useless.items():
                log.warning("partition %d: a row of episode state is not used: %s", partition, fault)
                log.debug("it is that of %s", source)
            self._line.metrics.state_ignored.inc(len(restored.useless))
            self._outdated[partition] = restored.outdated
        if resumed:
            places = {partition: one.offset for partition, one in sorted(resumed.items())}
            log.info("partitions go on at their offsets %s, with %d sources in trouble", places, sources)

    def _walk(self, records: Records) -> Step:
        line, settings, ends = self._line, self._settings, self._account.ends
        offsets = {partition: int(records.offset[rows.stop - 1]) + 1 for partition, rows in parts(records.partition)}
        total = len(records)
        records = self._young(records)
        beats, rejected = beat.parse(records)
        ends("parse")
        scores = line.scorer.score(beats.samples)
        ends("score")
        verdicts = line.thresholds.judge(beats.source, scores.score)
        held = verdicts.p_value, verdicts.threshold, verdicts.abnormal
        judged = Judged(beats, scores.score, *held, CAUSE_NAMES, scores.cause)
        observed = line.episodes.observe(beats, judged.abnormal, judged.cause_code)
        ends("judge")
        messages = self._alerts(observed.events, judged)
        if settings.scores:
            messages += alert.scores(judged, settings.scores_topic)
        now_ms = int(1000 * self._clock())
        messages += [alert.dead_letter(records, one, settings.dead_letters_topic, now_ms) for one in rejected]
        written, deleted = state.rows(observed.memories, self._outdated, settings.state_topic_name)
        self._outdated = {}
        clocks = {partition: line.episodes.clock(partition) for partition in offsets}
        delivery = Delivery(
            (*messages, *written),
            deleted,
            offsets,
            {partition: clock for partition, clock in clocks.items() if clock is not None},
        )
        ends("encode")
        reasons = tuple(one.reason for one in rejected)
        return Step(delivery, judged, observed.events, reasons, total - len(records), self._account.began)

    def _young(self, records: Records) -> Records:
        """Without the records that are older than the setting allows, where it does."""
        limit = self._settings.max_age_seconds
        if limit is None:
            return records
        keep = records.time >= 1000 * (self._clock() - limit)
        return records if keep.all() else records.select(keep)

    def _alerts(self, events: list[Event], judged: Judged) -> list[Message]:
        if not events:  # most steps of a quiet monitor: not even an empty batch through the network
            return []
        rows = [event.row for event in events if event.name == "opened" and event.kind == "physiological"]
        explained = self._line.scorer.explain(judged.beats.samples[rows])
        shapes = dict(zip(rows, map(Shape, explained.samples, explained.reconstruction), strict=True))
        topic, of = self._settings.alerts_topic, self._line.thresholds.of
        return [
            Message(
                topic,
                event.source,
                alert.alert(event, judged, alert.shape(event, judged, shapes), self._stamp, of(event.source)),
            )
            for event in events
        ]

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
