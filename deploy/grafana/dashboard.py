"""Writes the dashboards' JSON: `python -m deploy.grafana.dashboard`, from the repository's root.

The JSON is committed because Grafana reads it from the folder. A test checks that it is up to date.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from deploy.grafana import instance, overview
from deploy.grafana.annotation import ANNOTATIONS, annotation_json
from deploy.grafana.classic import DATASOURCE, INSTANCE_UID, JSON, placed
from deploy.grafana.promql import filled

if TYPE_CHECKING:
    from deploy.grafana.panel import PanelRow

FOLDER = Path(__file__).parent / "dashboards"
TAG = "ecg-monitor"
MAIN = {  # instances from `up`: one that is down stays on the list
    "job": "ecg_monitor_build_info, job",
    "instance": 'up{job=~"(.+/)?ecg-monitor", job=~"$job"}, instance',
}
WITH_FORWARDERS = {
    "job": 'up{job=~"(.+/)?ecg-(monitor|forwarder)"}, job',
    "instance": 'up{job=~"(.+/)?ecg-(monitor|forwarder)", job=~"$job"}, instance',
}
PARTITION = {"partition": 'ecg_monitor_lag_records{job=~"$job", instance=~"$instance"}, partition'}


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of rows. `variables` maps a variable's name to the metric and label that it takes its values from."""

    uid: str
    title: str
    description: str
    rows: tuple[PanelRow, ...]
    variables: dict[str, str]

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.uid.removeprefix('ecg-monitor-')}.json"


class Question(NamedTuple):
    """One query of a dashboard to Prometheus, with its variables filled in."""

    dashboard: str
    kind: Literal["panel", "annotation", "variable"]
    name: str  # of the panel, annotation or variable
    expr: str
    is_instant: bool


DASHBOARDS = (
    Dashboard(
        "ecg-monitor-overview",
        "ECG monitor — overview",
        "From incoming beats to alerts. Read from the top. Start at the first row that looks wrong.",
        overview.ROWS,
        WITH_FORWARDERS,
    ),
    Dashboard(
        INSTANCE_UID,
        "ECG monitor — instance",
        "One instance and its partitions, or several side by side. Select them above.",
        instance.ROWS,
        MAIN | PARTITION,
    ),
)


def dashboard_json(dashboard: Dashboard) -> JSON:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,  # an edit would be lost: the file is the source
        "graphTooltip": 1,  # one crosshair over all panels
        "time": {"from": "now-15m", "to": "now"},
        "refresh": "10s",
        "timezone": "browser",
        "annotations": {"list": [annotation_json(annotation) for annotation in ANNOTATIONS]},
        "links": [_LINK],
        "templating": {"list": [_DATASOURCE, *(_variable(*one) for one in dashboard.variables.items())]},
        "panels": placed(dashboard.rows),
    }


_LINK = {  # to every dashboard with the tag, in any folder
    "title": "ECG monitor",
    "type": "dashboards",
    "tags": [TAG],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
_DATASOURCE = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
}


def _variable(name: str, of: str) -> JSON:
    query = f"label_values({of})"
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"qryType": 5, "query": query, "refId": f"{name}-values"},  # 5: use the query unchanged
        "refresh": 2,  # whenever the time range changes: instances come and go
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def text(dashboard: Dashboard) -> str:
    return json.dumps(dashboard_json(dashboard), indent=2, ensure_ascii=False) + "\n"


def questions(rate_interval: str = "20s") -> list[Question]:
    """Every query of the dashboards, for all jobs, instances and partitions.

    With a running monitor each query has a result, except annotations of events that did not happen, and GPU memory
    on a machine without a GPU.
    """
    found = []
    for dashboard in DASHBOARDS:
        panels = [panel for row in dashboard.rows for panel in row.panels]
        found += [
            Question(dashboard.uid, "panel", panel.title, filled(query.expr, rate_interval), panel.kind == "stat")
            for panel in panels
            for query in panel.queries
        ]
        found += [
            Question(dashboard.uid, "annotation", one.name, filled(one.expr, rate_interval), is_instant=False)
            for one in ANNOTATIONS
        ]
        found += [
            Question(dashboard.uid, "variable", name, filled(re.split(r", \w+$", of)[0]), is_instant=True)
            for name, of in dashboard.variables.items()
        ]
    return found


if __name__ == "__main__":
    for each in DASHBOARDS:
        each.file.write_text(text(each), encoding="utf-8")
