"""What the loop did, told to metrics and health: the one place that knows which number moves when."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from monitor.log import printable
from monitor.model.scorer import CAUSES
from monitor.records.record import partition_slices
from monitor.telemetry.metrics import STAGES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monitor.alarms.judged import Step
    from monitor.alarms.rule import Kind
    from monitor.alarms.threshold import ActiveThreshold, Thresholds
    from monitor.records.record import BrokerFacts, Records
    from monitor.telemetry.health import Health
    from monitor.telemetry.metrics import Metrics, Stage

log = logging.getLogger(__name__)

REFUSED_SECONDS = 60.0  # between two lines about records that are no beats
SHOWN = 80  # characters of a name that somebody gave


class Recorder:
    """Counters move once the broker has it all, never before. Times are seconds since the epoch."""

    def __init__(self, metrics: Metrics, health: Health, topic: str) -> None:
        self._metrics, self._health, self._topic = metrics, health, topic
        self._assigned: frozenset[int] = frozenset()
        self._gone: frozenset[int] = frozenset()  # given up in the last poll
        self._heard: dict[int, int] = {}  # partition -> time of its last judged beat, ms
        self._refused: Counter[str] = Counter()  # by reason, since the last line about them
        self._told_refused = -REFUSED_SECONDS
        self._was_ready = False
        self._level: ActiveThreshold | None = None
        self._stages = {stage: metrics.stage.labels(stage) for stage in STAGES}
        self.began = self._mark = time.perf_counter()

    def begins(self) -> None:
        """A turn begins."""
        self.began = self._mark = time.perf_counter()

    def polled(self, records: Records, lag: Mapping[int, int], now: float) -> None:
        """The wait for records is over, and what is made of them begins."""
        waited = -self.began
        self.begins()
        self._metrics.poll.observe(waited + self.began)
        if len(records):
            self._metrics.last_beats.set(now)
        self._assign(frozenset(lag), records.revoked, now)

    def ends(self, stage: Stage) -> None:
        """A stage ends, and the next begins."""
        before, self._mark = self._mark, time.perf_counter()
        self._stages[stage].observe(self._mark - before)

    def delivered(self, step: Step, now: float) -> None:
        self.ends("deliver")
        metrics, judged = self._metrics, step.judged
        metrics.step.observe(self._mark - step.began)
        scored = judged.cause_code == 0
        metrics.batch.observe(len(judged.beats) + len(step.reasons))
        metrics.beats.inc(len(judged.beats))
        metrics.abnormal_beats.inc(int(judged.abnormal.sum()))
        metrics.shed_records.inc(step.shed)
        metrics.score.observe(judged.score[scored])
        metrics.p_value.observe(judged.p_value[scored])
        for cause, count in zip(CAUSES, np.bincount(judged.cause_code, minlength=len(CAUSES) + 1)[1:], strict=True):
            metrics.unscorable_beats.labels(cause).inc(int(count))
        for reason, count in Counter(step.reasons).items():
            metrics.dead_letters.labels(reason).inc(count)
            self._refused[reason] += count
        for event in step.events:
            metrics.alerts.labels(event.kind, event.name).inc()
            log.debug("%s episode %s: %s", event.kind, event.name, event.source)
            self._observe_latency(now - int(judged.beats.time[event.row]) / 1000)
        for partition, rows in partition_slices(judged.beats.partition):
            if partition in self._gone:  # while this step was under way
                continue
            self._heard[partition] = int(judged.beats.time[rows.stop - 1])
            series = metrics.partitions.of(partition)
            series.beats.inc(rows.stop - rows.start)
            series.progress.set(now)

    def _observe_latency(self, seconds: float) -> None:
        if seconds < 0:  # would break every rate of the histogram's sum
            self._metrics.skewed_alerts.inc()
        self._metrics.alert_latency.observe(max(0.0, seconds))

    def ordered(self, thresholds: Thresholds) -> None:
        """What beats are held against from now on."""
        metrics, level = self._metrics, thresholds.for_all
        if self._level not in (None, level):
            log.info("threshold for all sources: %g, %s", level.value, _origin(level))
        self._level = level
        metrics.threshold.set(thresholds.value)
        metrics.threshold_version.set(-1 if thresholds.version is None else thresholds.version)
        metrics.source_thresholds.set(thresholds.own_count)
        metrics.expected_abnormal.set(thresholds.expected_abnormal)

    def opened(self, counts: Mapping[Kind, int]) -> None:
        """Episodes that are open now, by kind."""
        for kind, count in counts.items():
            self._metrics.episodes.labels(kind).set(count)

    def _assign(self, assigned: frozenset[int], revoked: Collection[int], now: float) -> None:
        """Note the partitions that this member reads, and those that it gave up."""
        gone = self._gone = (self._assigned | set(revoked)) - assigned
        self._metrics.partitions.drop(gone)
        for partition in gone:
            self._heard.pop(partition, None)
        if assigned == self._assigned:
            return
        log.info("partitions of %s read here: %s", self._topic, sorted(assigned) or "none")
        self._metrics.rebalances.inc()
        self._metrics.assigned_partitions.set(len(assigned))
        for partition in assigned - self._assigned:
            self._metrics.partitions.of(partition).progress.set(now)
        self._assigned = assigned

    def behind(self, lag: Mapping[int, int], read: set[int], now: float) -> None:
        """How far each partition is behind; `read`: those that got on in this turn."""
        for partition, records in lag.items():
            series, heard = self._metrics.partitions.of(partition), self._heard.get(partition)
            series.lag_records.set(records)
            if not records:
                series.lag_seconds.set(0)
            elif heard is not None:  # else nobody knows how old what waits there is
                series.lag_seconds.set(max(0.0, now - heard / 1000))
            if partition in read or not records:
                series.progress.set(now)
        self._health.note_partitions(lag, read, time.monotonic())
        self._tell(time.monotonic())

    def _tell(self, now: float) -> None:
        if not self._was_ready and not self._health.ready(now):
            log.info("ready: a beat would raise its alarm now")
            self._was_ready = True
        if self._refused and now - self._told_refused >= REFUSED_SECONDS:
            self._tell_refused()
            self._told_refused = now

    def _tell_refused(self) -> None:
        what = ", ".join(f"{count} {reason}" for reason, count in self._refused.most_common())
        log.warning("records that are no beats went to the dead letters: %s", what)
        self._refused.clear()

    def ends_all(self) -> None:
        """What would have been told later is told now."""
        if self._refused:
            self._tell_refused()

    def broker(self, facts: BrokerFacts, now: float) -> None:
        """What the broker did in this turn."""
        metrics = self._metrics
        metrics.commits.inc(facts.commits)
        metrics.commit_failures.inc(facts.commit_failures)
        metrics.rewinds.inc(facts.rewinds)
        metrics.offset_resets.inc(facts.offset_resets)
        metrics.lost_records.inc(facts.lost_records)
        metrics.restored_sources.inc(facts.restored_sources)
        for seconds in facts.restore_seconds:
            metrics.restore.observe(seconds)
        if facts.commits:
            metrics.last_delivery.set(now)

    def broker_answers(self) -> None:
        self._health.broker_failure = ""
        self._metrics.broker_up.set(1)

    def broker_fails(self, failure: str, lag: Mapping[int, int]) -> None:
        self._metrics.broker_failures.inc()
        self._metrics.broker_up.set(0)
        self._health.broker_failure = failure
        self._health.note_partitions(lag, set(), time.monotonic())


def _origin(level: ActiveThreshold) -> str:
    if level.version is None:
        return "the model's or the setting's"
    by = f" of {printable(level.by[:SHOWN])}" if level.by else ""
    return f"by control record {level.version}{by}"
