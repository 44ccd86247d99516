"""Converts panels to Grafana's classic JSON, schema version 42."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from typing import Any

from deploy.grafana.panel import Panel, PanelRow, Query

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24  # of Grafana's grid
INSTANCE_UID = "ecg-monitor-instance"
JSON = dict[str, Any]


def placed(rows: tuple[PanelRow, ...]) -> list[JSON]:
    """Place rows below each other, and their panels from left to right until the grid is full. Ids count up.

    The panels of a collapsed row are nested in its JSON, and the row takes one grid line.
    """
    result: list[JSON] = []
    top, identity = 0, 1
    for row in rows:
        own = _beside_each_other(row.panels, top + 1, identity + 1)
        inner, outer = (own, []) if row.is_collapsed else ([], own)
        result.append(_row(row, {"h": 1, "w": COLUMNS, "x": 0, "y": top}, identity, inner))
        result += outer
        identity += 1 + len(own)
        top = max([top + 1, *(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in outer)])
    return result


def _beside_each_other(panels: tuple[Panel, ...], top: int, identity: int) -> list[JSON]:
    result: list[JSON] = []
    left, height = 0, 0
    for number, panel in enumerate(panels):
        if left + panel.width > COLUMNS:
            left, top, height = 0, top + height, 0
        place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
        result.append(panel_json(panel, place, identity + number))
        left, height = left + panel.width, max(height, panel.height)
    return result


def _row(row: PanelRow, place: JSON, identity: int, inner: list[JSON]) -> JSON:
    return {
        "id": identity,
        "type": "row",
        "title": row.title,
        "collapsed": row.is_collapsed,
        "gridPos": place,
        "panels": inner,
    }


def panel_json(panel: Panel, place: JSON, identity: int) -> JSON:
    """The JSON of a panel at a position of the grid."""
    common = {
        "id": identity,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
    }
    if panel.kind == "text":
        return common | {"options": {"mode": "markdown", "content": panel.content}}
    return common | {
        "datasource": DATASOURCE,
        "targets": [_target(panel, *named) for named in zip("ABCDEFGH", panel.queries, strict=False)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _OPTIONS[panel.kind] | ({"textMode": "name"} if panel.shows_name else {}),
    }


def _target(panel: Panel, ref: str, query: Query) -> JSON:
    # a stat uses an instant query: a range query would still show the last value of a monitor that has ended
    now = panel.kind == "stat"
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": now,
        "range": not now,
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
    }


def _defaults(panel: Panel) -> JSON:
    steps = [{"value": step.value, "color": step.color} for step in panel.steps]
    defaults: JSON = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": _lines(panel)}
    if any("{{instance}}" in query.legend for query in panel.queries):
        defaults["links"] = [_INSTANCE_LINK]
    return defaults


def _lines(panel: Panel) -> JSON:
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if panel.is_stacked else 8,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.is_stacked else "none"},
        "thresholdsStyle": {"mode": "dashed" if len(panel.steps) > 1 else "off"},
    }


def _overrides(panel: Panel) -> list[JSON]:
    """Draw a line named `threshold` red and dashed."""
    if panel.kind != "timeseries" or all(query.legend != "threshold" for query in panel.queries):
        return []
    red = {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}
    dashed = {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}}
    return [{"matcher": {"id": "byName", "options": "threshold"}, "properties": [red, dashed]}]


_INSTANCE_LINK = {
    "title": "Open ${__field.labels.instance}",
    "url": f"/d/{INSTANCE_UID}?var-instance=${{__field.labels.instance}}"
    "&${datasource:queryparam}&${job:queryparam}&${__url_time_range}",
}
_OPTIONS: dict[str, JSON] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    },
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "heatmap": {
        "calculate": False,  # the buckets are the monitor's own
        "cellGap": 1,
        "cellValues": {"unit": "cps"},
        "color": {"mode": "scheme", "scheme": "Oranges", "scale": "exponential", "exponent": 0.5, "steps": 64},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": "none"},
    },
}
