"""Writes the dashboard's JSON: `python -m deploy.grafana.dashboard`, from the repository's root.

The JSON is committed, for Grafana reads it from the folder; a test holds that this makes the same.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import json
from pathlib import Path

from deploy.grafana.overview import ROWS
from deploy.grafana.panel import DATASOURCE, JSON, Panel, panel_json, row_json

FILE = Path(__file__).parent / "dashboards" / "overview.json"
COLUMNS = 24  # of Grafana's grid


def overview() -> JSON:
    return {
        "uid": "ecg-monitor-overview",
        "title": "ECG monitor — overview",
        "description": "From beats in to alerts out. Read from the top; begin at the first row that looks wrong.",
        "tags": ["ecg-monitor"],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,  # an edit would be lost: the file is the source
        "graphTooltip": 1,  # one crosshair over all panels
        "time": {"from": "now-15m", "to": "now"},
        "refresh": "10s",
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": variables()},
        "panels": placed(ROWS),
    }


def variables() -> list[JSON]:
    datasource = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }
    # instances from `up`: one that is down stays on the list
    values = {"job": "ecg_monitor_build_info, job", "instance": 'up{job=~"$job"}, instance'}
    return [datasource, *(_variable(name, f"label_values({of})") for name, of in values.items())]


def _variable(name: str, query: str) -> JSON:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"qryType": 5, "query": query, "refId": f"{name}-values"},  # 5: the query as it is written
        "refresh": 2,  # whenever the time range changes: instances come and go
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def placed(rows: dict[str, tuple[Panel, ...]]) -> list[JSON]:
    """Rows below each other, panels from left to right until the grid is full; ids count up."""
    result: list[JSON] = []
    top = 0
    for title, panels in rows.items():
        result.append(row_json(title, {"h": 1, "w": COLUMNS, "x": 0, "y": top}, len(result) + 1))
        left, top = 0, top + 1
        for panel in panels:
            if left + panel.width > COLUMNS:
                left, top = 0, top + panel.height
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            result.append(panel_json(panel, place, len(result) + 1))
            left += panel.width
        top += panels[-1].height
    return result


def text() -> str:
    return json.dumps(overview(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
