"""The walk: poll, parse, score, judge, observe, encode, deliver. One thread, one columnar batch at a time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor import alert, beat
from monitor.alert import Judged, Shape, Stamp
from monitor.errors import BrokerError
from monitor.record import Delivery, Message, parts
from monitor.scorer import CAUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.broker import Broker
    from monitor.episode import Episodes, Event
    from monitor.health import Health
    from monitor.metrics import Metrics
    from monitor.record import Records
    from monitor.scorer import Scorer
    from monitor.settings import Settings
    from monitor.threshold import Threshold

log = logging.getLogger(__name__)

CAUSE_NAMES = ("", *CAUSES)
PAUSE_SECONDS = 0.5  # between two tries while the broker is away
DRAIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch came to, until it is delivered."""

    delivery: Delivery
    judged: Judged
    events: list[Event]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """The parts that the worker walks through."""

    broker: Broker
    scorer: Scorer
    threshold: Threshold
    episodes: Episodes
    metrics: Metrics
    health: Health


class Worker:
    """Walks the line until it is asked to stop. `clock` gives seconds since the epoch, for what people read."""

    def __init__(self, line: Line, settings: Settings, model_id: str, clock: Callable[[], float] = time.time) -> None:
        self._line = line
        self._settings = settings
        self._clock = clock
        self._stamp = Stamp(settings.beats_topic, model_id, line.threshold.value, line.threshold.version)
        self._in_hand: Step | None = None
        self._lost_since: float | None = None
        self._assigned: frozenset[int] = frozenset()
        self._heard: dict[int, int] = {}  # partition -> time of its last judged beat, ms
        line.metrics.threshold.set(line.threshold.value)

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Turn until `should_stop`; then deliver what is in hand.

        Raises BrokerError when the broker is lost for longer than the limit.
        """
        self._line.health.started = True
        while not should_stop():
            self.turn()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._in_hand is not None:
            self.turn()
            if time.monotonic() > deadline:
                raise BrokerError("stopped before the broker took the last alerts: their beats will be read again")

    def turn(self) -> None:
        """One step, or another try at the one in hand; a broker in trouble is waited for, up to the limit."""
        try:
            self._step()
        except BrokerError as error:
            self._wait_for_broker(error)
        else:
            self._note_broker()
        self._line.health.turned = time.monotonic()
        self._line.metrics.last_step.set(self._clock())

    def _step(self) -> None:
        began = time.perf_counter()
        if self._in_hand is None:
            records = self._line.broker.poll()
            self._note_assignment(self._line.broker.lag())
            began = time.perf_counter()
            self._in_hand = self._walk(records) if len(records) else None
        read: set[int] = set()
        if self._in_hand is not None:
            self._line.broker.deliver(self._in_hand.delivery)
            self._count(self._in_hand)
            self._line.metrics.step.observe(time.perf_counter() - began)
            read, self._in_hand = set(self._in_hand.delivery.offsets), None
        self._note_lag(self._line.broker.lag(), read)

    def _unjudged(self, records: Records) -> Records:
        """Without the records that were judged before their partition was taken away and given back."""
        episodes, keep = self._line.episodes, np.ones(len(records), np.bool_)
        for partition, rows in parts(records.partition):
            first = int(records.offset[rows.start])
            if partition in records.fresh:
                episodes.resume(partition, first)
            if first < episodes.next_offset(partition):
                keep[rows] = records.offset[rows] >= episodes.next_offset(partition)
        return records if keep.all() else records.select(keep)

    def _walk(self, records: Records) -> Step:
        line = self._line
        offsets = {partition: int(records.offset[rows.stop - 1]) + 1 for partition, rows in parts(records.partition)}
        records = self._unjudged(records)
        beats, rejected = beat.parse(records)
        scores = line.scorer.score(beats.samples)
        verdicts = line.threshold.judge(scores.score)
        judged = Judged(beats, scores.score, verdicts.p_value, verdicts.abnormal, CAUSE_NAMES, scores.cause)
        events = line.episodes.observe(beats, judged.abnormal, judged.cause_code)
        line.episodes.judged(offsets)
        messages = self._alerts(events, judged)
        if self._settings.scores:
            messages += alert.scores(judged, self._stamp, self._settings.scores_topic)
        now_ms = int(1000 * self._clock())
        letters = self._settings.dead_letters_topic
        messages += [alert.dead_letter(records, one, letters, now_ms) for one in rejected]
        return Step(Delivery(tuple(messages), offsets), judged, events, tuple(one.reason for one in rejected))

    def _alerts(self, events: list[Event], judged: Judged) -> list[Message]:
        rows = [event.row for event in events if event.name == "opened" and event.kind == "physiological"]
        explained = self._line.scorer.explain(judged.beats.samples[rows])
        shapes = dict(zip(rows, map(Shape, explained.samples, explained.reconstruction), strict=True))
        topic = self._settings.alerts_topic
        return [
            Message(topic, event.source, alert.alert(event, judged, _shape(event, judged, shapes), self._stamp))
            for event in events
        ]

    def _count(self, step: Step) -> None:
        """Move the counters, now that the broker has it all."""
        metrics, judged = self._line.metrics, step.judged
        metrics.batch.observe(len(judged.beats) + len(step.reasons))
        metrics.beats.inc(len(judged.beats))
        metrics.abnormal_beats.inc(int(judged.abnormal.sum()))
        metrics.score.observe(judged.score[judged.cause_code == 0])
        for cause, count in zip(CAUSES, np.bincount(judged.cause_code, minlength=len(CAUSE_NAMES))[1:], strict=True):
            metrics.unscorable_beats.labels(cause).inc(int(count))
        for reason in step.reasons:
            metrics.dead_letters.labels(reason).inc()
        now = self._clock()
        for event in step.events:
            metrics.alerts.labels(event.kind, event.name).inc()
            metrics.alert_latency.observe(max(0.0, now - int(judged.beats.time[event.row]) / 1000))
        for kind, count in self._line.episodes.open.items():
            metrics.episodes.labels(kind).set(count)
        for partition in step.delivery.offsets:
            times = judged.beats.time[judged.beats.partition == partition]
            if len(times):
                self._heard[partition] = int(times[-1])

    def _note_assignment(self, lag: Mapping[int, int]) -> None:
        assigned = frozenset(lag)
        if assigned == self._assigned:
            return
        log.info("partitions of %s read here: %s", self._settings.beats_topic, sorted(assigned) or "none")
        metrics = self._line.metrics
        metrics.rebalances.inc()
        metrics.assigned_partitions.set(len(assigned))
        for partition in self._assigned - assigned:
            metrics.lag_records.remove(str(partition))
            metrics.lag_seconds.remove(str(partition))
            self._heard.pop(partition, None)
        self._assigned = assigned

    def _note_lag(self, lag: Mapping[int, int], read: set[int]) -> None:
        metrics, health, now = self._line.metrics, self._line.health, self._clock()
        for partition, records in lag.items():
            metrics.lag_records.labels(str(partition)).set(records)
            heard = self._heard.get(partition)
            late = now - heard / 1000 if records and heard is not None else 0.0
            metrics.lag_seconds.labels(str(partition)).set(max(0.0, late))
        health.joined = self._line.broker.joined()
        health.note_partitions(lag, read, time.monotonic())

    def _note_broker(self) -> None:
        if self._lost_since is not None:
            log.info("the broker answers again, after %.0f s", time.monotonic() - self._lost_since)
        self._lost_since = None
        self._line.health.broker_failure = ""
        self._line.metrics.broker_up.set(1)

    def _wait_for_broker(self, error: BrokerError) -> None:
        now = time.monotonic()
        metrics, health = self._line.metrics, self._line.health
        metrics.broker_failures.inc()
        metrics.broker_up.set(0)
        health.broker_failure = str(error)
        health.note_partitions(self._line.broker.lag(), set(), now)
        if self._lost_since is None:
            self._lost_since = now
            log.warning("%s: trying again", error)
        if now - self._lost_since > self._settings.broker_timeout_seconds:
            raise BrokerError(f"the broker was lost for {now - self._lost_since:.0f} s: {error}") from error
        time.sleep(PAUSE_SECONDS)


def _shape(event: Event, judged: Judged, shapes: Mapping[int, Shape]) -> Shape:
    """What to draw: the scored beat and its reconstruction, or a beat without a score as it came."""
    if event.name == "closed":
        return Shape()
    if event.kind == "physiological":
        return shapes[event.row]
    return Shape(judged.beats.samples[event.row])
