"""The one place that updates metrics and health: the daemon, the loop and the stages hand their facts to it."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.alarms_on import AlarmGroup
from monitor.alarms.alert import VERSION
from monitor.alarms.rule import KINDS
from monitor.alarms.run_rule import PRIORITIES
from monitor.model.scorer import CAUSES
from monitor.records.record import partition_slices
from monitor.telemetry.clock import SYSTEM_CLOCK, Clock
from monitor.telemetry.facts import STAGES
from monitor.telemetry.metrics import ACKNOWLEDGED
from monitor.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from monitor.alarms.alarms_on import AlarmCounts
    from monitor.alarms.episode_state import Restored
    from monitor.alarms.rule import Kind
    from monitor.alarms.threshold import ActiveThreshold, Thresholds
    from monitor.profiles.exchange import RestoredSources, SourceCounts
    from monitor.records.record import Assigned, BrokerFacts, Records
    from monitor.settings import Settings
    from monitor.telemetry.facts import Stage, StepFacts
    from monitor.telemetry.health import Health
    from monitor.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

REJECTED_LOG_SECONDS = 60.0  # between two log lines about records that are not beats
SHOWN_CHARACTERS = 80  # of a name that a person typed


class Recorder:
    """Updates metrics and health, and logs what the person on call should read.

    Counters of beats, alerts and dead letters rise once the broker has confirmed the step, never before. One thread
    calls this, except `device_fell_back`, which any thread may call.
    """

    def __init__(self, metrics: Metrics, health: Health, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._metrics, self._health, self._topic, self._clock = metrics, health, settings.beats_topic, clock
        self._assigned: frozenset[int] = frozenset()
        self._revoked: frozenset[int] = frozenset()  # at the last poll
        self._assigned_at: dict[int, float] = {}  # partition -> seconds since the epoch
        self._judged_through: dict[int, int] = {}  # partition -> time of its last judged beat, ms since the epoch
        self._rejected: Counter[str] = Counter()  # records that are not beats, by reason, since the last log line
        self._rejected_logged = -REJECTED_LOG_SECONDS
        self._was_ready = False
        self._threshold: ActiveThreshold | None = None
        self._stages = {stage: metrics.stage.labels(stage) for stage in STAGES}
        self._show_verdicts()
        metrics.config_info.info(_shown(settings))

    def client_chosen(self, name: str) -> None:
        """`name`: the Kafka library and its version."""
        log.info("Kafka client: %s", name)
        self._metrics.build_info.info({"version": VERSION, "kafka_client": name})

    def _show_verdicts(self) -> None:
        """Compute the verdicts at each scrape, so that the gauges show what a probe would get at that moment."""
        metrics, health, now = self._metrics, self._health, self._clock.monotonic
        metrics.ready.set_function(lambda: not health.ready(now()))
        metrics.healthy.set_function(lambda: not health.live(now()))
        metrics.joined.set_function(lambda: health.joined)

    def model_loaded(self, model_id: str, device: str, memory: Mapping[str, Callable[[], float]]) -> None:
        """Show the model in use; `memory` has a function for each kind of GPU memory, called at each scrape."""
        self._metrics.model_info.info({"model_id": model_id, "device": device})
        for kind, in_use in memory.items():
            self._metrics.gpu_memory.labels(kind).set_function(in_use)

    def device_fell_back(self) -> None:
        """Count a batch that did not fit into the GPU's memory."""
        self._metrics.device_fallbacks.inc()

    def loop_started(self) -> None:
        """Model, topics and group are there: what is left until the monitor is ready is to join the group."""
        self._health.started = True

    def loop_stopped(self) -> None:
        """Log now what would have been logged later."""
        if self._rejected:
            self._log_rejected()

    def records_read(self, records: Records, lag: Mapping[int, int], seconds: float) -> None:
        """A poll ended after `seconds`; `lag` has the records that wait in each assigned partition."""
        self._metrics.poll.observe(seconds)
        if len(records):
            self._metrics.last_beats.set(self._clock.wall())
        self._set_assignment(frozenset(lag), records.revoked)

    def _set_assignment(self, assigned: frozenset[int], revoked: Collection[int]) -> None:
        """Begin to show the partitions that are new, and stop to show those that are gone."""
        now_revoked = self._revoked = (self._assigned | set(revoked)) - assigned
        self._metrics.partitions.drop(now_revoked)
        for partition in now_revoked:
            self._judged_through.pop(partition, None)
            self._assigned_at.pop(partition, None)
        if assigned == self._assigned:
            return
        log.info("partitions of %s read here: %s", self._topic, sorted(assigned) or "none")
        self._metrics.rebalances.inc()
        self._metrics.assigned_partitions.set(len(assigned))
        for partition in assigned - self._assigned:
            self._assigned_at[partition] = self._clock.wall()
            self._metrics.partitions.of(partition).progress.set(self._clock.wall())
        self._assigned = assigned

    def partitions_restored(self, assigned: Mapping[int, Assigned], restored: Mapping[int, Restored]) -> None:
        """The episode state of newly assigned partitions was read back."""
        if not assigned:
            return
        for partition, state in restored.items():
            for source, fault in state.useless.items():
                log.warning("partition %d: a row of episode state is not used: %s", partition, fault)
                log.debug("the source of this row: %s", source)
            self._metrics.state_ignored.inc(len(state.useless))
        if void := {partition: len(state.outdated) for partition, state in restored.items() if state.outdated}:
            log.warning(
                "partitions go on before records that were judged already: %s was made again, or the group's offsets "
                "were set back. Sources whose state is void, by partition: %s; their open episodes are closed",
                self._topic,
                void,
            )
        offsets = {partition: one.offset for partition, one in sorted(assigned.items())}
        sources = sum(len(state.sources) for state in restored.values())
        log.info("partitions go on at their offsets %s, with episode state of %d sources", offsets, sources)

    def profiles_used(self, counts: Callable[[], SourceCounts] | None) -> None:
        """Whether profiles are used; `counts` tells at each scrape how many there are."""
        if counts is None:
            log.info("profiles are not used: every source is judged by the model's threshold")
            return
        log.info("profiles are used: each source learns its own normal")
        self._metrics.profiles.labels("learning").set_function(lambda: counts().learning)
        self._metrics.profiles.labels("learned").set_function(lambda: counts().learned)
        self._metrics.sick_profiles.set_function(lambda: counts().sick)

    def profiles_restored(self, restored: Mapping[int, RestoredSources]) -> None:
        """The profiles of newly assigned partitions were read back."""
        for partition, one in restored.items():
            for source, fault in one.faults.items():
                log.warning("partition %d: a profile is not used: %s", partition, fault)
                log.debug("the source of this profile: %s", source)
            self._metrics.state_ignored.inc(len(one.faults))
        if outdated := sum(one.outdated for one in restored.values()):
            log.warning("%d profiles have beats that come again: their sources learn again", outdated)
        if restored:
            log.info("profiles of %d sources were read", sum(one.count for one in restored.values()))

    def control_records_read(self, count: int, complaints: Sequence[str], thresholds: Thresholds) -> None:
        """`count` control records were read; `complaints` has a sentence for each that was ignored."""
        for complaint in complaints:
            log.warning("%s", complaint)
        self._metrics.control_ignored.inc(len(complaints))
        self.thresholds_changed(thresholds)
        own = thresholds.own_count
        log.info("%d control records read; sources with a threshold of their own: %d", count, own)

    def thresholds_changed(self, thresholds: Thresholds) -> None:
        """Show the thresholds that hold from now on."""
        metrics, threshold = self._metrics, thresholds.for_all
        if self._threshold not in (None, threshold):
            log.info("threshold for all sources: %g, %s", threshold.value, _origin(threshold))
        self._threshold = threshold
        metrics.threshold.set(thresholds.value)
        metrics.threshold_version.set(-1 if thresholds.version is None else thresholds.version)
        metrics.source_thresholds.set(thresholds.own_count)
        metrics.expected_abnormal.set(thresholds.expected_abnormal)

    def step_delivered(self, facts: StepFacts, deliver_seconds: float) -> None:
        """Count what a step judged, rejected and shed; the broker confirmed it after `deliver_seconds` of waiting.

        Shed records are those that were left out because they are too old.
        """
        self._observe_times(facts, deliver_seconds)
        metrics, judged = self._metrics, facts.judged
        scored = judged.cause_code == 0
        metrics.batch.observe(len(judged.beats) + len(facts.reasons))
        metrics.beats.inc(len(judged.beats))
        metrics.abnormal_beats.inc(int(judged.abnormal.sum()))
        metrics.shed_records.inc(facts.shed_records)
        metrics.far_ahead_beats.inc(facts.far_ahead)
        metrics.score.observe(judged.score[scored])
        metrics.p_value.observe(judged.p_value[scored])
        for cause, count in zip(CAUSES, np.bincount(judged.cause_code, minlength=len(CAUSES) + 1)[1:], strict=True):
            metrics.unscorable_beats.labels(cause).inc(int(count))
        for reason, count in Counter(facts.reasons).items():
            metrics.dead_letters.labels(reason).inc(count)
            self._rejected[reason] += count
        for notice in facts.notices:
            metrics.profile_notices.labels(notice.kind).inc()
        self._count_events(facts)
        self._count_partitions(facts)

    def _observe_times(self, facts: StepFacts, deliver_seconds: float) -> None:
        """Show how long each stage of the step took, and the whole step."""
        seconds: dict[Stage, float] = {**facts.seconds, "deliver": deliver_seconds}
        for stage, spent in seconds.items():
            self._stages[stage].observe(spent)
        self._metrics.step.observe(self._clock.monotonic() - facts.started)

    def _count_events(self, facts: StepFacts) -> None:
        """Count the alerts of a step, and how late each is."""
        metrics, beats, now = self._metrics, facts.judged.beats, self._clock.wall()
        if facts.useless_ends:
            log.info("ends of sources that are not known, or that send on: %d; they change nothing", facts.useless_ends)
        if facts.useless:
            log.info("acknowledgements of alarms that are not on: %d; they change nothing", facts.useless)
        for event in facts.events:
            metrics.alerts.labels(event.kind, event.name).inc()
            log.debug("%s alarm %s: %s", event.kind, event.name, event.source)
            time = -1 if event.row is None else int(beats.time[event.row])
            if time < 0:  # no beat caused it, or its record has none
                continue
            latency = now - time / 1000
            if latency < 0:  # a histogram's sum must not fall: Prometheus would take that for a restart
                metrics.skewed_alerts.inc()
            metrics.alert_latency.observe(max(0.0, latency))

    def _count_partitions(self, facts: StepFacts) -> None:
        """Show the beats and the progress of each partition that the step read and that is still assigned."""
        beats, now = facts.judged.beats, self._clock.wall()
        for partition, rows in partition_slices(beats.partition):
            if partition in self._revoked:  # since the step read it: its metrics are gone
                continue
            if (time_ms := int(beats.time[rows.stop - 1])) >= 0:  # -1: the record has no time
                self._judged_through[partition] = time_ms
            series = self._metrics.partitions.of(partition)
            series.beats.inc(rows.stop - rows.start)
            series.progress.set(now)

    def progress_made(
        self,
        lag: Mapping[int, int],
        progressed: Collection[int],
        open_episodes: Mapping[Kind, int],
        *,
        joined: bool,
        completing: bool = False,
    ) -> None:
        """A step of the loop went through. `progressed` are the partitions of which something was delivered in it."""
        for kind, count in open_episodes.items():
            self._metrics.episodes.labels(kind).set(count)
        self._health.joined, self._health.completing = joined, completing
        self._show_lag(lag, progressed)
        now = self._clock.monotonic()
        self._health.record_progress(lag, progressed, now)
        if not self._was_ready and not self._health.ready(now):
            log.info("ready: a beat would raise its alarm now")
            self._was_ready = True
        if self._rejected and now - self._rejected_logged >= REJECTED_LOG_SECONDS:
            self._log_rejected()
            self._rejected_logged = now

    def alarms_counted(self, counts: AlarmCounts) -> None:
        """Show how many alarms are on, and since when nobody has acknowledged the oldest of a priority."""
        for priority in PRIORITIES:
            for kind, is_acknowledged in product(KINDS, (False, True)):
                count = counts.on.get(AlarmGroup(kind, priority, is_acknowledged), 0)
                self._metrics.alarms.labels(kind, priority, ACKNOWLEDGED[is_acknowledged]).set(count)
            self._metrics.unacknowledged_since.labels(priority).set(counts.oldest_ms.get(priority, 0) / 1000)

    def obstacle_seen(self, obstacle: str) -> None:
        """`obstacle`: what would keep an alarm from leaving although the broker answers; empty: nothing is known."""
        if obstacle and obstacle != self._health.obstacle:
            log.error("not ready: %s", obstacle)
        self._health.obstacle = obstacle

    def records_held_back(self, records: Mapping[int, int]) -> None:
        """`records`: those of each assigned partition that open transactions hold back from all readers."""
        for partition in self._assigned & records.keys():
            self._metrics.partitions.of(partition).held_back.set(records[partition])

    def _show_lag(self, lag: Mapping[int, int], progressed: Collection[int]) -> None:
        """Show for each partition how many records wait, and for how many seconds the oldest may have waited."""
        now = self._clock.wall()
        for partition, records in lag.items():
            series, judged_through = self._metrics.partitions.of(partition), self._judged_through.get(partition)
            series.lag_records.set(records)
            # before the first judged beat the age of the records is not known: they are older than the assignment
            since = self._assigned_at.get(partition, now) if judged_through is None else judged_through / 1000
            series.lag_seconds.set(max(0.0, now - since) if records else 0)
            if partition in progressed or not records:
                series.progress.set(now)

    def _log_rejected(self) -> None:
        counts = ", ".join(f"{count} {reason}" for reason, count in self._rejected.most_common())
        log.warning("records that are not beats went to the dead letters: %s", counts)
        self._rejected.clear()

    def step_ended(self, facts: BrokerFacts) -> None:
        """The loop ended a step, successful or not; `facts` are what the broker did in it."""
        metrics, now = self._metrics, self._clock.wall()
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
        metrics.last_step.set(now)
        self._health.last_step = self._clock.monotonic()

    def rewound(self) -> None:
        """The partitions go back to their committed offsets, and this member may be about to join its group again."""
        self._health.joined = False

    def broker_answered(self) -> None:
        """The broker is available."""
        self._health.broker_failure = ""
        self._metrics.broker_up.set(1)

    def broker_failed(self, failure: str, lag: Mapping[int, int]) -> None:
        """A call to the broker failed, for the reason `failure`, and will be tried again."""
        self._metrics.broker_failures.inc()
        self._metrics.broker_up.set(0)
        self._health.broker_failure = failure
        self._health.record_progress(lag, (), self._clock.monotonic())
        self._show_lag({partition: records for partition, records in lag.items() if partition in self._assigned}, ())


def _shown(settings: Settings) -> dict[str, str]:
    """The settings that `config_info` shows."""
    rule = f"{settings.episode_open} of {settings.episode_window}, closes after {settings.episode_close}"
    return {
        "group_id": settings.group_id,
        "delivery": settings.delivery,
        "name": settings.instance,
        "episode": rule,
        "batch_size": str(settings.batch_size),
    }


def _origin(threshold: ActiveThreshold) -> str:
    """Where a threshold comes from, for the log."""
    if threshold.version is None:
        return "the model's or the setting's"
    by = f" of {printable(threshold.by[:SHOWN_CHARACTERS])}" if threshold.by else ""
    return f"by control record {threshold.version}{by}"
