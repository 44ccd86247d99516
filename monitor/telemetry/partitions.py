"""The metrics of single partitions: their series are there while this instance reads the partition, and no longer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Series:
    """The series of one partition, ready at hand: finding them by their label costs more than moving them."""

    beats: Counter
    lag_records: Gauge
    lag_seconds: Gauge
    progress: Gauge


class PartitionMetrics:
    """The families, and the series that are shown of them."""

    def __init__(self, namespace: str, registry: CollectorRegistry) -> None:
        counter = partial(Counter, labelnames=["partition"], namespace=namespace, registry=registry)
        gauge = partial(Gauge, labelnames=["partition"], namespace=namespace, registry=registry)
        self._beats = counter(
            "partition_beats",
            "Beats judged, by partition, while this instance reads it. One far above the rest: its sources are many.",
        )
        self._lag_records = gauge(
            "lag_records",
            "Records from the last judged one to the partition's end. Growing: add instances, up to the partitions.",
        )
        self._lag_seconds = gauge(
            "lag_seconds",
            "Age of the last judged beat of a partition that has lag; 0 without lag. This is how late alerts are.",
        )
        self._progress = gauge(
            "partition_last_progress_timestamp_seconds",
            "When the partition last moved on, or had nothing to read. Old while there is lag: it is stuck; restart "
            "the instance that reads it and keep its log.",
        )
        self._shown: dict[int, Series] = {}

    def of(self, partition: int) -> Series:
        """Its series, shown from now on."""
        if partition not in self._shown:
            name = str(partition)
            self._shown[partition] = Series(
                self._beats.labels(name),
                self._lag_records.labels(name),
                self._lag_seconds.labels(name),
                self._progress.labels(name),
            )
        return self._shown[partition]

    def drop(self, partitions: Collection[int]) -> None:
        """These are another instance's business now."""
        for partition in self._shown.keys() & partitions:
            del self._shown[partition]
            for family in (self._beats, self._lag_records, self._lag_seconds, self._progress):
                family.remove(str(partition))
