"""What the loop did, told to metrics and health: the one place that knows which number moves when."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.scorer import CAUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.alert import Judged
    from monitor.episode import Event, Kind
    from monitor.health import Health
    from monitor.metrics import Metrics
    from monitor.record import Delivery

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch came to, until it is delivered."""

    delivery: Delivery
    judged: Judged
    events: list[Event]
    reasons: tuple[str, ...]
    shed: int = 0


class Account:
    """Counters move once the broker has it all, never before."""

    def __init__(self, metrics: Metrics, health: Health, topic: str) -> None:
        self._metrics, self._health, self._topic = metrics, health, topic
        self._assigned: frozenset[int] = frozenset()
        self._heard: dict[int, int] = {}  # partition -> time of its last judged beat, ms

    def delivered(self, step: Step, now: float) -> None:
        """`now` in seconds since the epoch."""
        metrics, judged = self._metrics, step.judged
        metrics.batch.observe(len(judged.beats) + len(step.reasons))
        metrics.beats.inc(len(judged.beats))
        metrics.abnormal_beats.inc(int(judged.abnormal.sum()))
        metrics.shed_records.inc(step.shed)
        metrics.score.observe(judged.score[judged.cause_code == 0])
        for cause, count in zip(CAUSES, np.bincount(judged.cause_code, minlength=len(CAUSES) + 1)[1:], strict=True):
            metrics.unscorable_beats.labels(cause).inc(int(count))
        for reason in step.reasons:
            metrics.dead_letters.labels(reason).inc()
        for event in step.events:
            metrics.alerts.labels(event.kind, event.name).inc()
            metrics.alert_latency.observe(max(0.0, now - int(judged.beats.time[event.row]) / 1000))
        for partition in step.delivery.offsets:
            times = judged.beats.time[judged.beats.partition == partition]
            if len(times):
                self._heard[partition] = int(times[-1])

    def opened(self, counts: Mapping[Kind, int]) -> None:
        """Episodes that are open now, by kind."""
        for kind, count in counts.items():
            self._metrics.episodes.labels(kind).set(count)

    def assigned(self, lag: Mapping[int, int]) -> None:
        """Note the partitions that this member reads."""
        assigned = frozenset(lag)
        if assigned == self._assigned:
            return
        log.info("partitions of %s read here: %s", self._topic, sorted(assigned) or "none")
        self._metrics.rebalances.inc()
        self._metrics.assigned_partitions.set(len(assigned))
        for partition in self._assigned - assigned:
            self._metrics.lag_records.remove(str(partition))
            self._metrics.lag_seconds.remove(str(partition))
            self._heard.pop(partition, None)
        self._assigned = assigned

    def behind(self, lag: Mapping[int, int], read: set[int], now: float) -> None:
        """How far each partition is behind; `read`: those that got on in this turn."""
        for partition, records in lag.items():
            self._metrics.lag_records.labels(str(partition)).set(records)
            heard = self._heard.get(partition)
            if not records:
                self._metrics.lag_seconds.labels(str(partition)).set(0)
            elif heard is not None:  # else nobody knows how old what waits there is
                self._metrics.lag_seconds.labels(str(partition)).set(max(0.0, now - heard / 1000))
        self._health.note_partitions(lag, read, time.monotonic())

    def broker_answers(self) -> None:
        self._health.broker_failure = ""
        self._metrics.broker_up.set(1)

    def broker_fails(self, failure: str, lag: Mapping[int, int]) -> None:
        self._metrics.broker_failures.inc()
        self._metrics.broker_up.set(0)
        self._health.broker_failure = failure
        self._health.note_partitions(lag, set(), time.monotonic())
