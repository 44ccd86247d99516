"""Every metric of the monitor: its name, its unit, what it means and what the person on call should do about it.

No label carries a source: there would be no upper limit to the number of series, and a source is health data. Series
that are known in advance start at 0. Series of a partition exist while this instance reads the partition. Nothing here
is called once for each beat.
"""

from __future__ import annotations

from functools import partial
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from monitor.alarms.alert_fields import ALERT_EVENTS
from monitor.alarms.rule import KINDS
from monitor.alarms.run_rule import PRIORITIES
from monitor.beats.parse import REASONS
from monitor.model.scorer import CAUSES
from monitor.profiles.batch import NOTICE_KINDS
from monitor.telemetry.facts import STAGES
from monitor.telemetry.histogram import ColumnHistogram
from monitor.telemetry.partition_metrics import NAMESPACE, PartitionMetrics

ACKNOWLEDGED = ("no", "yes")
PROFILE_STATES = ("learning", "learned")
STAGE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10)
STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RESTORE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
SCORE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
P_VALUE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
BATCH_BUCKETS = tuple(2**power for power in range(17))


def process_registry() -> CollectorRegistry:
    """A new registry with the metrics of this process and of Python, to be given to `Metrics`."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


class Metrics:
    """The metrics of one monitor, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._counter = partial(Counter, namespace=NAMESPACE, registry=registry)
        self._gauge = partial(Gauge, namespace=NAMESPACE, registry=registry)
        self._histogram = partial(Histogram, namespace=NAMESPACE, registry=registry)
        self._build_identity()
        self._build_verdict()
        self._build_beats()
        self._build_scores()
        self._build_alerts()
        self.partitions = PartitionMetrics(registry)
        self._build_loop()
        self._build_broker()
        self._build_state()
        self._build_profiles()

    def _build_identity(self) -> None:
        info = partial(Info, namespace=NAMESPACE, registry=self.registry)
        self.build_info = info(
            "build",
            "Version of the monitor, and its Kafka client. Two versions for longer than a roll-out takes: finish the "
            "roll-out.",
        )
        self.model_info = info(
            "model",
            "The model in use and the device that scores. Two models at once judge the same beat differently: finish "
            "the roll-out.",
        )
        self.config_info = info(
            "config",
            "Settings that help to read the other metrics: the group, the delivery, MONITOR_INSTANCE, when episodes "
            "open and close. Instances of one group should differ in their name only.",
        )

    def _build_verdict(self) -> None:
        self.ready = self._gauge(
            "ready", "1 while /readyz answers 200. 0: a beat would raise no alarm; /readyz says why."
        )
        self.healthy = self._gauge(
            "healthy",
            "1 while /healthz answers 200. 0: the loop or a partition stands still; restart this instance and keep "
            "its log.",
        )
        self.joined = self._gauge(
            "joined",
            "1 while this instance belongs to its group. 0 for minutes: look at the rebalances and at the broker.",
        )
        self.broker_up = self._gauge(
            "broker_up", "1 while the broker answers, 0 while the monitor tries again. 0: bring the broker back."
        )

    def _build_beats(self) -> None:
        self.beats = self._counter(
            "beats", "Beats read and judged. Does not rise although beats are published: look at the lag."
        )
        self.abnormal_beats = self._counter(
            "abnormal_beats",
            "Beats that scored above the threshold. Their share is far above the expected one: the model or the "
            "threshold is wrong for these patients.",
        )
        self.unscorable_beats = self._counter(
            "unscorable_beats",
            "Valid beats that cannot be scored, by cause. Rising: check electrodes and gain.",
            ["cause"],
        )
        self.dead_letters = self._counter(
            "dead_letters",
            "Records that are not beats, by reason. Rising: a publisher sends something else; read the dead letters.",
            ["reason"],
        )
        self.shed_records = self._counter(
            "shed_records",
            "Records left out because they are older than MONITOR_MAX_AGE_SECONDS. Rising: the monitor is too slow "
            "for these beats; add instances.",
        )
        self.far_ahead_beats = self._counter(
            "far_ahead_beats",
            "Beats with a timestamp far ahead of their partition's other sources. They are judged, and do not move the "
            "stream time. Rising: correct the clock of that publisher.",
        )
        self.last_beats = self._gauge(
            "last_beats_timestamp_seconds",
            "When records were last read; 0: never. Old without lag: nobody publishes. Old with lag: look at the "
            "partitions.",
        )
        for cause in CAUSES:
            self.unscorable_beats.labels(cause)
        for reason in REASONS:
            self.dead_letters.labels(reason)

    def _build_scores(self) -> None:
        column = partial(ColumnHistogram, namespace=NAMESPACE, registry=self.registry)
        self.score = column(
            "score",
            "Reconstruction error of beats. Drifts upwards on normal patients: calibrate the model again.",
            edges=SCORE_BUCKETS,
        )
        self.p_value = column(
            "p_value",
            "Share of the model's normal calibration beats that score as high. On normal patients 1 % of beats lie "
            "below 0.01. Many more: calibrate the model again.",
            edges=P_VALUE_BUCKETS,
        )
        self.threshold = self._gauge(
            "threshold",
            "Score above which a beat is abnormal, for every source without its own threshold. Instances that differ: "
            "compare their threshold_version.",
        )
        self.threshold_version = self._gauge(
            "threshold_version",
            "Offset of the control record that set the threshold for all sources; -1: the threshold is the model's or "
            "the setting's. Instances that differ for minutes: one of them does not read the control topic.",
        )
        self.threshold_version.set(-1)  # until the control topic is read
        self.source_thresholds = self._gauge(
            "source_thresholds",
            "Sources with a threshold of their own. Unexpected: `ecg-monitor threshold show` lists them.",
        )
        self.expected_abnormal = self._gauge(
            "expected_abnormal_ratio",
            "Share of normal beats that score above the threshold for all sources, by the model's calibration. Far "
            "more abnormal beats than this on normal patients: the model or the threshold is wrong.",
        )
        self.control_ignored = self._counter(
            "control_ignored",
            "Records of the control topic that are not valid commands and are ignored. Rising: the log says which and "
            "why.",
        )

    def _build_alerts(self) -> None:
        self.alerts = self._counter(
            "alerts",
            "Alerts that the broker has confirmed, by kind of episode and by event. None although episodes open: look "
            "at the commit failures.",
            ["kind", "event"],
        )
        self.episodes = self._gauge(
            "episodes",
            "Episodes that are open now on this instance, by kind. Many at once: one cause for all of them, as a wrong "
            "threshold or a new model.",
            ["kind"],
        )
        self.alarms = self._gauge(
            "alarms",
            "Alarms that are on or latched on this instance, by kind, priority, and whether somebody has acknowledged "
            "them. Many that nobody has: nobody looks, or there are too many.",
            ["kind", "priority", "acknowledged"],
        )
        self.unacknowledged_since = self._gauge(
            "unacknowledged_since_timestamp_seconds",
            "When the oldest alarm of a priority opened that nobody has acknowledged, by the time of its beat; 0: none "
            "is on. Old: look with `ecg-monitor alarms`.",
            ["priority"],
        )
        self.alert_latency = self._histogram(
            "alert_latency_seconds",
            "Time from a beat's record timestamp to its confirmed alert. High: look at the lag and the step time.",
            buckets=LATENCY_BUCKETS,
        )
        self.skewed_alerts = self._counter(
            "clock_skewed_alerts",
            "Alerts confirmed before the timestamp of their beat, counted with a latency of 0. Rising: the clock of a "
            "publisher is ahead, or the clock of this computer is behind.",
        )
        for kind in KINDS:
            self.episodes.labels(kind)
            for event in ALERT_EVENTS:
                self.alerts.labels(kind, event)
            for priority, acknowledged in product(PRIORITIES, ACKNOWLEDGED):
                self.alarms.labels(kind, priority, acknowledged)
        for priority in PRIORITIES:
            self.unacknowledged_since.labels(priority)

    def _build_loop(self) -> None:
        self.last_step = self._gauge(
            "last_step_timestamp_seconds",
            "When the loop last finished a step. Old: the process hangs; restart it and keep its log.",
        )
        self.step = self._histogram(
            "step_seconds",
            "Time of one step from the records that were read to the confirmed delivery. When the monitor is behind, "
            "this includes waiting for the next step to be judged. High: see which stage_seconds is largest.",
            buckets=STEP_BUCKETS,
        )
        self.stage = self._histogram(
            "stage_seconds",
            "Time that a step takes in each stage. The largest is the one to improve: score: see MONITOR_DEVICE; "
            "deliver: see the broker; parse, judge or encode: add instances. While the monitor is behind, score and "
            "deliver run beside other work, and only waiting for them counts.",
            ["stage"],
            buckets=STAGE_BUCKETS,
        )
        self.poll = self._histogram(
            "poll_seconds",
            "Time of one wait for records. Near 0 all the time: the monitor is at its limit. Seconds: few beats, a "
            "rebalance or a slow broker.",
            buckets=STEP_BUCKETS,
        )
        self.batch = self._histogram(
            "batch_beats",
            "Records in one step. At MONITOR_BATCH_SIZE all the time: the monitor is catching up.",
            buckets=BATCH_BUCKETS,
        )
        for stage in STAGES:
            self.stage.labels(stage)
        self.device_fallbacks = self._counter(
            "device_fallbacks",
            "Batches that did not fit into the GPU's memory and were halved or scored on the CPU. Rising: lower "
            "MONITOR_BATCH_SIZE.",
        )
        self.gpu_memory = self._gauge(
            "gpu_memory_bytes",
            "Memory of the GPU in use: allocated and reserved by this process, and its total. No series on a CPU. "
            "Reserved near total: lower MONITOR_BATCH_SIZE.",
            ["kind"],
        )

    def _build_broker(self) -> None:
        self.commits = self._counter(
            "commits",
            "Commits of offsets, with the messages that belong to them. Does not rise although beats come in: look at "
            "the commit failures.",
        )
        self.commit_failures = self._counter(
            "commit_failures",
            "Commits or transactions that failed; together with commits_total, all attempts. Rising: look at the "
            "broker's log for this group and transactional id.",
        )
        self.last_delivery = self._gauge(
            "last_delivery_timestamp_seconds",
            "When the broker last confirmed a commit; 0: never. Old although beats come in: no alert leaves.",
        )
        self.broker_failures = self._counter(
            "broker_failures",
            "Calls to the broker that failed and are tried again. Rising: look at the broker and the network.",
        )
        self.assigned_partitions = self._gauge(
            "assigned_partitions",
            "Partitions that this instance reads. 0 for minutes: there are more instances than partitions, or the "
            "group is stuck.",
        )
        self.rebalances = self._counter(
            "rebalances",
            "Changes of the partitions that this instance reads. Frequent without a roll-out: instances die.",
        )

    def _build_profiles(self) -> None:
        self.profiles = self._gauge(
            "profiles",
            "Sources that have a profile of their own (learned) or still learn one (learning). None in a ward that "
            "sends: the model is none for beats around R, or MONITOR_PROFILES=false.",
            ["state"],
        )
        self.sick_profiles = self._gauge(
            "sick_profiles",
            "Sources whose first beats were in doubt while they learned. Look at each (`ecg-monitor profile show`), "
            "and reset it when the patient is well.",
        )
        self.profile_notices = self._counter(
            "profile_notices",
            "What happened to profiles, by kind. Many not-learned: look at the electrodes.",
            ["kind"],
        )
        for series, labels in ((self.profiles, PROFILE_STATES), (self.profile_notices, NOTICE_KINDS)):
            for label in labels:
                series.labels(label)

    def _build_state(self) -> None:
        self.rewinds = self._counter(
            "rewinds",
            "Transactions that were aborted; their beats are read again. Some at a rebalance are normal. Many: look at "
            "the broker.",
        )
        self.restore = self._histogram(
            "restore_seconds",
            "Time to read offset, episode state and profiles of assigned partitions before their first beat. Many "
            "seconds: an instance died with its transaction open, or the topic of state or of profiles is not "
            "compacted.",
            buckets=RESTORE_BUCKETS,
        )
        self.restored_sources = self._counter(
            "restored_sources",
            "Rows of episode state that were read for assigned partitions; profiles are not among them. Many at every "
            "rebalance: many sources have episode state.",
        )
        self.state_ignored = self._counter(
            "state_ignored",
            "Rows of episode state and of profiles that cannot be read; their sources start without. Rising: the log "
            "says why.",
        )
        self.offset_resets = self._counter(
            "offset_resets",
            "Partitions whose next offset was out of range. Rising: retention deleted records before they were read; "
            "raise the retention, add instances.",
        )
        self.lost_records = self._counter(
            "lost_records",
            "Records that retention deleted before this group read them, as counted at offset resets. Rising: raise "
            "the retention, add instances.",
        )
