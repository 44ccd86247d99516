"""A histogram that takes a whole column at once; the client's own costs a call a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from prometheus_client import CollectorRegistry


class ColumnHistogram(Collector):
    """Written by one thread and read by another: each reading is of one moment."""

    def __init__(
        self, name: str, documentation: str, *, namespace: str, edges: tuple[float, ...], registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation, self._edges = f"{namespace}_{name}", documentation, edges
        self._state = (np.zeros(len(edges) + 1, np.int64), 0.0)
        registry.register(self)

    def observe(self, values: NDArray[np.floating]) -> None:
        """Count every value (n,)."""
        counts, total = self._state
        places = np.searchsorted(self._edges, values, side="left")
        self._state = (counts + np.bincount(places, minlength=len(counts)), total + float(values.sum(dtype=np.float64)))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        counts, total = self._state
        edges = [*map(floatToGoString, self._edges), "+Inf"]
        buckets = list(zip(edges, np.cumsum(counts).tolist(), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=total)
