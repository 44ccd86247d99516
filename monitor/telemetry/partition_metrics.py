"""The metrics with a series for each partition that an instance reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Collection

NAMESPACE = "ecg_monitor"


@dataclass(frozen=True, slots=True)
class PartitionSeries:
    """The series of one partition, kept because looking them up by label costs more than updating them."""

    beats: Counter
    lag_records: Gauge
    lag_seconds: Gauge
    held_back: Gauge
    progress: Gauge


class PartitionMetrics:
    """The metrics with a series for each partition that this instance reads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, labelnames=["partition"], namespace=NAMESPACE, registry=registry)
        gauge = partial(Gauge, labelnames=["partition"], namespace=NAMESPACE, registry=registry)
        self._beats = counter(
            "partition_beats",
            "Beats judged, by partition, while this instance reads it. One far above the others: it has many sources, "
            "and its lag grows first.",
        )
        self._lag_records = gauge(
            "lag_records",
            "Records from the last committed one to the end of the partition. Growing: add instances, up to one for "
            "each partition.",
        )
        self._lag_seconds = gauge(
            "lag_seconds",
            "Age of the last judged beat of a partition with lag; 0 without lag. This is how late alerts are. Growing: "
            "add instances.",
        )
        self._held_back = gauge(
            "held_back_records",
            "Records that an open transaction of a publisher holds back: no reader gets them before it ends. Above 0 "
            "for a minute: end that transaction, or the publisher.",
        )
        self._progress = gauge(
            "partition_last_progress_timestamp_seconds",
            "When the partition last moved on or had nothing to read. Old with lag: it is stuck; restart the instance "
            "that reads it and keep its log.",
        )
        self._series: dict[int, PartitionSeries] = {}

    def of(self, partition: int) -> PartitionSeries:
        """The series of a partition. The first call adds them to what is scraped."""
        if partition not in self._series:
            label = str(partition)
            self._series[partition] = PartitionSeries(
                self._beats.labels(label),
                self._lag_records.labels(label),
                self._lag_seconds.labels(label),
                self._held_back.labels(label),
                self._progress.labels(label),
            )
        return self._series[partition]

    def drop(self, partitions: Collection[int]) -> None:
        """Remove the series of partitions that this instance no longer reads."""
        for partition in self._series.keys() & partitions:
            del self._series[partition]
            for family in (self._beats, self._lag_records, self._lag_seconds, self._held_back, self._progress):
                family.remove(str(partition))
