"""Every metric, with what it means and what to do about it; names end in their unit.

No label carries a source id: that would be unbounded, and health data. Series that are known beforehand begin at 0;
those of a partition are there while this instance reads it. Nothing here is called once a beat.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from monitor.alarms.rule import EVENTS, KINDS
from monitor.beats.parse import REASONS
from monitor.model.scorer import CAUSES
from monitor.telemetry.histogram import ColumnHistogram
from monitor.telemetry.partitions import PartitionMetrics

Stage = Literal["parse", "score", "judge", "encode", "deliver"]
STAGES: tuple[Stage, ...] = get_args(Stage)

NAMESPACE = "ecg_monitor"
STAGE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10)
STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RESTORE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
SCORE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
P_VALUE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
BATCH_BUCKETS = tuple(2**power for power in range(17))


class Metrics:
    """The instruments of one monitor, on the registry that is handed in."""

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
        self.partitions = PartitionMetrics(NAMESPACE, registry)
        self._build_loop()
        self._build_broker()
        self._build_state()

    def _build_identity(self) -> None:
        info = partial(Info, namespace=NAMESPACE, registry=self.registry)
        self.build_info = info("build", "The monitor's version. More than one for longer than a roll-out: finish it.")
        self.model_info = info(
            "model", "The model that is served, and where. Two at once judge like beats differently."
        )
        self.config_info = info(
            "config",
            "Settings that explain what is seen: the group, how it delivers, its MONITOR_INSTANCE and when episodes "
            "open and close. Instances of one group should differ in their name alone.",
        )

    def _build_verdict(self) -> None:
        self.ready = self._gauge("ready", "1 while /readyz says yes. 0: a beat would raise no alarm; /readyz says why.")
        self.healthy = self._gauge(
            "healthy", "1 while /healthz says yes. 0: the loop or a partition stands still; restart, keep the log."
        )
        self.joined = self._gauge(
            "joined", "1 while this instance belongs to its group. 0 for minutes: see rebalances and the broker."
        )
        self.broker_up = self._gauge("broker_up", "1 while the broker answers, 0 while the monitor waits for it.")

    def _build_beats(self) -> None:
        self.beats = self._counter("beats", "Beats read and judged. Flat while beats are published: see lag.")
        self.abnormal_beats = self._counter(
            "abnormal_beats",
            "Beats that scored above the threshold. A share far above the model's budget: wrong model or threshold.",
        )
        self.unscorable_beats = self._counter(
            "unscorable_beats",
            "Valid beats that cannot be scored, by cause. Rising: look at electrodes and gain.",
            ["cause"],
        )
        self.dead_letters = self._counter(
            "dead_letters",
            "Records that are no beats, by reason. Rising: a publisher sends something else; read the dead letters.",
            ["reason"],
        )
        self.shed_records = self._counter(
            "shed_records",
            "Records left out as older than MONITOR_MAX_AGE_SECONDS. Rising: the monitor is behind.",
        )
        self.last_beats = self._gauge(
            "last_beats_timestamp_seconds",
            "When records last came in; 0: never. Old without lag: nobody publishes. Old with lag: see the partitions.",
        )
        for cause in CAUSES:
            self.unscorable_beats.labels(cause)
        for reason in REASONS:
            self.dead_letters.labels(reason)

    def _build_scores(self) -> None:
        column = partial(ColumnHistogram, namespace=NAMESPACE, registry=self.registry)
        self.score = column(
            "score",
            "Reconstruction error of beats. A drift upwards on normal patients asks for recalibration.",
            edges=SCORE_BUCKETS,
        )
        self.p_value = column(
            "p_value",
            "Share of the model's normal beats that score as high. On normal patients 1 % of beats lie below 0.01: "
            "many more ask for recalibration.",
            edges=P_VALUE_BUCKETS,
        )
        self.threshold = self._gauge("threshold", "Score above which a beat is abnormal, for all sources.")
        self.threshold_version = self._gauge(
            "threshold_version",
            "Offset of the control record that set the threshold for all sources; -1: it is the model's or the "
            "setting's. Instances that differ for long: one does not read the control topic.",
        )
        self.threshold_version.set(-1)  # until the control topic is read
        self.source_thresholds = self._gauge(
            "source_thresholds", "Sources with a threshold of their own; `ecg-monitor threshold show` lists them."
        )
        self.expected_abnormal = self._gauge(
            "expected_abnormal_ratio",
            "Share of normal beats that the threshold for all sources lets score as abnormal, by the model's "
            "calibration. Abnormal beats far above it on normal patients: wrong model or threshold.",
        )
        self.control_ignored = self._counter(
            "control_ignored",
            "Records of the control topic that make no sense and are ignored. Rising: the log says which and why.",
        )

    def _build_alerts(self) -> None:
        self.alerts = self._counter(
            "alerts", "Alerts acknowledged by the broker, by kind of episode and event.", ["kind", "event"]
        )
        self.episodes = self._gauge("episodes", "Episodes open now on this instance, by kind.", ["kind"])
        self.alert_latency = self._histogram(
            "alert_latency_seconds",
            "From the beat's record timestamp to the acknowledged alert. High: see lag and step time.",
            buckets=LATENCY_BUCKETS,
        )
        self.skewed_alerts = self._counter(
            "clock_skewed_alerts",
            "Alerts acknowledged before their beat's timestamp, counted with a latency of 0. Rising: the clock of a "
            "publisher is ahead, or this one is behind.",
        )
        for kind in KINDS:
            self.episodes.labels(kind)
            for event in EVENTS:
                self.alerts.labels(kind, event)

    def _build_loop(self) -> None:
        self.last_step = self._gauge(
            "last_step_timestamp_seconds",
            "When the loop last turned. Old: the process hangs; restart it and keep its log.",
        )
        self.step = self._histogram(
            "step_seconds",
            "One step from records to acknowledged delivery, waiting for records left out. Catching up, until the next "
            "is judged.",
            buckets=STEP_BUCKETS,
        )
        self.stage = self._histogram(
            "stage_seconds",
            "What a step is made of. The largest is what to mend: score: MONITOR_DEVICE, deliver: the broker, both as "
            "far as the next step does not fill the wait; parse, judge, encode: more instances.",
            ["stage"],
            buckets=STAGE_BUCKETS,
        )
        self.poll = self._histogram(
            "poll_seconds",
            "One wait for records. Near 0 all the time: the monitor is at its limit. Seconds: few beats, a rebalance "
            "or a slow broker.",
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
            "Batches that did not fit into GPU memory and were halved or scored on the CPU. Lower MONITOR_BATCH_SIZE.",
        )
        self.gpu_memory = self._gauge(
            "gpu_memory_bytes",
            "Memory of the GPU that serves: allocated and reserved by this process, and its total; nothing on a CPU.",
            ["kind"],
        )

    def _build_broker(self) -> None:
        self.commits = self._counter(
            "commits", "Commits of offsets, with what there was to say. Flat while beats come in: see commit failures."
        )
        self.commit_failures = self._counter(
            "commit_failures",
            "Commits or transactions that failed; with commits_total, the attempts. Rising: look at the broker's log "
            "for this group and transactional id.",
        )
        self.last_delivery = self._gauge(
            "last_delivery_timestamp_seconds",
            "When the broker last acknowledged a commit; 0: never. Old while beats come in: nothing gets out.",
        )
        self.broker_failures = self._counter(
            "broker_failures",
            "Calls to the broker that failed and are tried again. Rising: look at the broker and the network.",
        )
        self.assigned_partitions = self._gauge(
            "assigned_partitions",
            "Partitions this instance reads. 0 for long: more instances than partitions, or the group is stuck.",
        )
        self.rebalances = self._counter(
            "rebalances", "Changes of the partitions this instance reads. Often without a roll-out: instances die."
        )

    def _build_state(self) -> None:
        self.rewinds = self._counter(
            "rewinds",
            "Transactions that came to nothing: their beats are read again. Some at a rebalance; many: the broker.",
        )
        self.restore = self._histogram(
            "restore_seconds",
            "Reading back where partitions stand and their episode state, before their first beat. Seconds: a member "
            "died with its transaction open, or the state topic is not compacted.",
            buckets=RESTORE_BUCKETS,
        )
        self.restored_sources = self._counter("restored_sources", "Rows of episode state read back.")
        self.state_ignored = self._counter(
            "state_ignored",
            "Rows of episode state that cannot be read: their sources start afresh. The log says why.",
        )
        self.offset_resets = self._counter(
            "offset_resets",
            "Partitions whose next offset was out of range: retention overtook the monitor. Raise it, add instances.",
        )
        self.lost_records = self._counter(
            "lost_records", "Records that were deleted before this group read them, as told by offset resets."
        )
