"""Annotations on every panel: events that queries find in the data."""  # noqa: INP001 - no package

from __future__ import annotations

from dataclasses import dataclass

from deploy.grafana.classic import DATASOURCE, JSON
from deploy.grafana.promql import of_monitors, select

MODEL = select("ecg_monitor_model_info")
VERSION = select("ecg_monitor_threshold_version")
VERSION_KNOWN_SECONDS = 120  # so long after a start the version is known


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation where the query has a value above 0, or at the times that the query returns (ms)."""

    name: str
    color: str
    title: str
    expr: str
    is_time: bool = False


def _new(expr: str, label: str) -> str:
    """Values of a label that did not exist a minute ago, if the metric had other values then."""
    before = f"count by ({label}) ({expr} offset 1m)"
    return f"count by ({label}) ({expr}) unless on ({label}) {before} and on () count({expr} offset 1m) > 0"


def _new_threshold() -> str:
    known = f"time() - process_start_time_seconds{{{VERSION.partition('{')[2]} > {VERSION_KNOWN_SECONDS}"
    now = f'count_values("version", {VERSION} and on (job, instance) ({known}))'
    return f'{now} unless on (version) count_values("version", {VERSION} offset 1m)'


ANNOTATIONS = (
    Annotation("Model change", "purple", "Model {{model_id}}", _new(MODEL, "model_id")),
    Annotation("Threshold change", "red", "Threshold by control record {{version}}", _new_threshold()),
    Annotation(
        "Rebalance",
        "yellow",
        "Partitions of {{instance}} changed",
        f"sum by (instance) (increase({select('ecg_monitor_rebalances_total')}[$__rate_interval])) > 0",
    ),
    Annotation(
        "Start",
        "blue",
        "{{instance}} started",
        f"1000 * max by (instance) ({of_monitors(select('process_start_time_seconds'))})",
        is_time=True,
    ),
)


def annotation_json(annotation: Annotation) -> JSON:
    return {
        "name": annotation.name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": annotation.color,
        "expr": annotation.expr,
        "step": "",
        "titleFormat": annotation.title,
        "textFormat": "",
        "tagKeys": "",
        "useValueForTime": annotation.is_time,
    }
