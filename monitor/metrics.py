"""Every metric, with what it means and what to do about it; names end in their unit.

No label carries a source id: that would be unbounded, and health data. Series that are known beforehand begin at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from monitor.beat import REASONS
from monitor.episode import EVENTS, KINDS
from monitor.scorer import CAUSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
SCORE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH_BUCKETS = tuple(2**power for power in range(17))


class ColumnHistogram(Collector):
    """A histogram that takes a whole column at once; the client's own costs a call a value."""

    def __init__(self, name: str, documentation: str, edges: tuple[float, ...], registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._edges = name, documentation, edges
        self._state = (np.zeros(len(edges) + 1, np.int64), 0.0)
        registry.register(self)

    def observe(self, values: NDArray[np.float32]) -> None:
        counts, total = self._state
        places = np.searchsorted(self._edges, values, side="left")
        self._state = (counts + np.bincount(places, minlength=len(counts)), total + float(values.sum(dtype=np.float64)))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        counts, total = self._state
        edges = [*map(floatToGoString, self._edges), "+Inf"]
        buckets = list(zip(edges, np.cumsum(counts).tolist(), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=total)


class Metrics:
    """The instruments of one monitor, on the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._build_beats(registry)
        self._build_alerts(registry)
        self._build_progress(registry)
        self._build_broker(registry)
        self._build_state(registry)

    def _build_beats(self, registry: CollectorRegistry) -> None:
        self.beats = Counter(
            "ecg_monitor_beats", "Beats read and judged. Flat while beats are published: see lag.", registry=registry
        )
        self.abnormal_beats = Counter(
            "ecg_monitor_abnormal_beats",
            "Beats that scored above the threshold. A share far above the model's budget: wrong model or threshold.",
            registry=registry,
        )
        self.unscorable_beats = Counter(
            "ecg_monitor_unscorable_beats",
            "Valid beats that cannot be scored, by cause. Rising: look at electrodes and gain.",
            ["cause"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "ecg_monitor_dead_letters",
            "Records that are no beats, by reason. Rising: a publisher sends something else; read the dead letters.",
            ["reason"],
            registry=registry,
        )
        self.shed_records = Counter(
            "ecg_monitor_shed_records",
            "Records left out as older than MONITOR_MAX_AGE_SECONDS. Rising: the monitor is behind.",
            registry=registry,
        )
        for cause in CAUSES:
            self.unscorable_beats.labels(cause)
        for reason in REASONS:
            self.dead_letters.labels(reason)

    def _build_alerts(self, registry: CollectorRegistry) -> None:
        self.alerts = Counter(
            "ecg_monitor_alerts",
            "Alerts acknowledged by the broker, by kind of episode and event.",
            ["kind", "event"],
            registry=registry,
        )
        self.episodes = Gauge(
            "ecg_monitor_episodes", "Episodes open now on this instance, by kind.", ["kind"], registry=registry
        )
        self.score = ColumnHistogram(
            "ecg_monitor_score",
            "Reconstruction error of beats. A drift upwards on normal patients asks for recalibration.",
            SCORE_BUCKETS,
            registry,
        )
        self.alert_latency = Histogram(
            "ecg_monitor_alert_latency_seconds",
            "From the beat's record timestamp to the acknowledged alert. High: see lag and step time.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.threshold = Gauge(
            "ecg_monitor_threshold", "Score above which a beat is abnormal, for all sources.", registry=registry
        )
        self.control_ignored = Counter(
            "ecg_monitor_control_ignored",
            "Records of the control topic that make no sense and are ignored. Rising: the log says which and why.",
            registry=registry,
        )
        self.model_info = Info("ecg_monitor_model", "The model that is served.", registry=registry)
        self.build_info = Info("ecg_monitor_build", "The monitor's version.", registry=registry)
        for kind in KINDS:
            self.episodes.labels(kind)
            for event in EVENTS:
                self.alerts.labels(kind, event)

    def _build_progress(self, registry: CollectorRegistry) -> None:
        self.lag_records = Gauge(
            "ecg_monitor_lag_records",
            "Records from the last judged one to the partition's end. Growing: add instances, up to the partitions.",
            ["partition"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "ecg_monitor_lag_seconds",
            "Age of the last judged beat of a partition that has lag; 0 without lag. This is how late alerts are.",
            ["partition"],
            registry=registry,
        )
        self.assigned_partitions = Gauge(
            "ecg_monitor_assigned_partitions",
            "Partitions this instance reads. 0 for long: more instances than partitions, or the group is stuck.",
            registry=registry,
        )
        self.last_step = Gauge(
            "ecg_monitor_last_step_timestamp_seconds",
            "When the loop last turned. Old: the process hangs; restart it and keep its log.",
            registry=registry,
        )
        self.step = Histogram(
            "ecg_monitor_step_seconds",
            "One step from records to acknowledged delivery, waiting for records left out.",
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self.batch = Histogram(
            "ecg_monitor_batch_beats",
            "Records in one step. At MONITOR_BATCH_SIZE all the time: the monitor is catching up.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )

    def _build_broker(self, registry: CollectorRegistry) -> None:
        self.commits = Counter("ecg_monitor_commits", "Offset commits that succeeded.", registry=registry)
        self.broker_failures = Counter(
            "ecg_monitor_broker_failures",
            "Calls to the broker that failed and are tried again. Rising: look at the broker and the network.",
            registry=registry,
        )
        self.broker_up = Gauge(
            "ecg_monitor_broker_up", "1 while the broker answers, 0 while the monitor waits for it.", registry=registry
        )
        self.rebalances = Counter(
            "ecg_monitor_rebalances", "Changes of the partitions this instance reads.", registry=registry
        )
        self.device_fallbacks = Counter(
            "ecg_monitor_device_fallbacks",
            "Batches that did not fit into GPU memory and were halved or scored on the CPU. Lower MONITOR_BATCH_SIZE.",
            registry=registry,
        )

    def _build_state(self, registry: CollectorRegistry) -> None:
        self.rewinds = Counter(
            "ecg_monitor_rewinds",
            "Transactions that came to nothing: their beats are read again. Some at a rebalance; many: the broker.",
            registry=registry,
        )
        self.restored_sources = Counter(
            "ecg_monitor_restored_sources", "Rows of episode state read back.", registry=registry
        )
        self.state_ignored = Counter(
            "ecg_monitor_state_ignored",
            "Rows of episode state that cannot be read: their sources start afresh. The log says why.",
            registry=registry,
        )
        self.offset_resets = Counter(
            "ecg_monitor_offset_resets",
            "Partitions whose next offset was out of range: retention overtook the monitor. Raise it, add instances.",
            registry=registry,
        )
        self.lost_records = Counter(
            "ecg_monitor_lost_records",
            "Records that were deleted before this group read them, as told by offset resets.",
            registry=registry,
        )
