"""Queries Prometheus with the expressions of a dashboard."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from deploy.grafana.promql import filled

if TYPE_CHECKING:
    from deploy.grafana.panel import Query

POINTS = 240  # across a picture
ANSWER_SECONDS = 30


class Series(NamedTuple):
    """One line: its name in the legend, its times in seconds since the epoch, and its values."""

    name: str
    times: list[float]
    values: list[float]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus server, and the time range of the queries."""

    url: str
    start: float
    end: float
    scrape_seconds: float

    @property
    def step_seconds(self) -> float:
        return max(1.0, (self.end - self.start) / POINTS)

    def ask(self, query: Query, *, is_instant: bool) -> list[Series]:
        """The lines of one query, over the range, or at its end if `is_instant`. The step is that of Grafana."""
        # Grafana's own rule for $__rate_interval
        interval = max(4 * self.scrape_seconds, self.step_seconds + self.scrape_seconds)
        expr = filled(query.expr, f"{interval:.0f}s")
        if is_instant:
            found = self._get("query", query=expr, time=self.end)
        else:
            found = self._get("query_range", query=expr, start=self.start, end=self.end, step=self.step_seconds)
        return [_series(one, query.legend) for one in found]

    def _get(self, path: str, **asked: Any) -> list[dict[str, Any]]:
        with urllib.request.urlopen(  # noqa: S310 - the address that the caller gives
            f"{self.url}/api/v1/{path}?{urlencode(asked)}", timeout=ANSWER_SECONDS
        ) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


def _series(found: dict[str, Any], legend: str) -> Series:
    labels: dict[str, str] = found["metric"]
    points = found["values"] if "values" in found else [found["value"]]
    name = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)
    return Series(name.strip() or "Value", [float(time) for time, _ in points], [float(value) for _, value in points])
