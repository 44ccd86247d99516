"""What a panel is, and how it becomes Grafana's classic JSON; `overview` says which panels there are."""  # noqa: INP001 - no package

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
JSON = dict[str, Any]


class Query(NamedTuple):
    """One expression, and what its lines are called."""

    legend: str
    expr: str


class Step(NamedTuple):
    """From this value on, this colour."""

    value: float | None  # None: from the beginning
    color: str


GREEN = (Step(None, "green"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question and its answer. `unit` is a Grafana unit id; for a heatmap it is that of the cells."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["stat", "timeseries", "heatmap"]
    width: int
    steps: tuple[Step, ...] = GREEN
    shows_name: bool = False  # a stat that shows what its series is called, not its value

    @property
    def height(self) -> int:
        return 4 if self.kind == "stat" else 8


def lines(title: str, description: str, unit: str, *queries: Query, width: int = 8) -> Panel:
    return Panel(title=title, description=description, unit=unit, queries=queries, kind="timeseries", width=width)


def heatmap(title: str, description: str, query: Query) -> Panel:
    return Panel(title=title, description=description, unit="cps", queries=(query,), kind="heatmap", width=12)


def number(title: str, description: str, unit: str, expr: str, *steps: Step) -> Panel:
    """One value, as it is now."""
    queries = (Query(title, expr),)
    return Panel(title=title, description=description, unit=unit, queries=queries, kind="stat", width=3, steps=steps)


def name(title: str, description: str, query: Query) -> Panel:
    """What a series is called, as it is now."""
    return Panel(
        title=title,
        description=description,
        unit="none",
        queries=(query,),
        kind="stat",
        width=6,
        steps=(Step(None, "text"),),
        shows_name=True,
    )


def panel_json(panel: Panel, place: JSON, identity: int) -> JSON:
    """The panel at a place of the grid."""
    return {
        "id": identity,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_target(panel, *named) for named in zip("ABCDEFGH", panel.queries, strict=False)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
    }


def row_json(title: str, place: JSON, identity: int) -> JSON:
    return {"id": identity, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _target(panel: Panel, ref: str, query: Query) -> JSON:
    # a number is asked for now: the last one of a range would still be shown of a monitor that is gone
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
    return defaults | ({"min": 0, "custom": _LINES} if panel.kind == "timeseries" else {})


def _overrides(panel: Panel) -> list[JSON]:
    """A line called `threshold` is red and dashed."""
    if panel.kind != "timeseries" or all(query.legend != "threshold" for query in panel.queries):
        return []
    red = {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}
    dashed = {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}}
    return [{"matcher": {"id": "byName", "options": "threshold"}, "properties": [red, dashed]}]


def _options(panel: Panel) -> JSON:
    return _OPTIONS[panel.kind] | ({"textMode": "name"} if panel.shows_name else {})


_LINES = {
    "drawStyle": "line",
    "lineWidth": 1,
    "fillOpacity": 8,
    "showPoints": "auto",
    "spanNulls": False,
    "stacking": {"mode": "none"},
}
_OPTIONS: dict[str, JSON] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
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
