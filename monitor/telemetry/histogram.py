"""A histogram that counts a whole column of values in one call; the client library needs one call for each value."""

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
    """A histogram without labels; `edges` are the upper bounds of its buckets, ascending, without infinity.

    One thread writes and any thread reads. Counts and sum are replaced in one assignment, so a reader always sees
    both of the same moment.
    """

    def __init__(
        self, name: str, documentation: str, *, namespace: str, edges: tuple[float, ...], registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation, self._edges = f"{namespace}_{name}", documentation, edges
        self._state = (np.zeros(len(edges) + 1, np.int64), 0.0)
        registry.register(self)

    def observe(self, values: NDArray[np.floating]) -> None:
        """Count every value of a column (n,)."""
        counts, total = self._state
        places = np.searchsorted(self._edges, values, side="left")
        self._state = (counts + np.bincount(places, minlength=len(counts)), total + float(values.sum(dtype=np.float64)))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The one metric of this collector, as the client library asks for it at each scrape."""
        counts, total = self._state
        edges = [*map(floatToGoString, self._edges), "+Inf"]
        buckets = list(zip(edges, np.cumsum(counts).tolist(), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=total)
