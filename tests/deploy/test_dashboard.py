"""The dashboards are as their Python builds them, use metrics that exist, and describe every panel."""

from __future__ import annotations

import re
import subprocess
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from deploy.grafana.dashboard import DASHBOARDS, questions, text
from deploy.reference import forward_registry, registry
from monitor.telemetry.metrics import Metrics
from tests.deploy.files import dashboards, expressions, panels, program

if TYPE_CHECKING:
    from pathlib import Path

# of Prometheus itself, and of its client library
FOREIGN = {
    "up",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "python_gc_collections_total",
}
TARGET_LABELS = {"job", "instance"}  # of every series, by Prometheus
UNITS = {"none", "short", "s", "cps", "cpm", "bytes", "percentunit", "bool_yes_no"}
FLOW = {
    "ecg-monitor-overview": [
        "What runs",
        "Is it working",
        "Ingest",
        "Inference",
        "Scores and alarms",
        "Alarms that are on",
        "Profiles",
        "Delivery",
        "Forwarding",
        "Kafka client",
        "Process",
    ],
    "ecg-monitor-instance": [
        "State",
        "Identity",
        "Partitions",
        "Loop",
        "Scores",
        "Delivery",
        "Process, Python and GPU",
    ],
}

each_dashboard = pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: dashboard["uid"])
each_panel = pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=f"{dashboard['uid'].rpartition('-')[2]}: {panel['title']}")
        for dashboard in dashboards()
        for panel in panels(dashboard)
        if panel["type"] != "text"
    ],
)


def exported() -> dict[str, set[str]]:
    """The labels of each series that a monitor or a forwarder at work shows."""
    families = (*registry().collect(), *forward_registry().collect())
    samples = [sample for family in families for sample in family.samples]
    own = {sample.name: set(sample.labels) for sample in samples if not sample.name.endswith("_created")}
    return own | {name: {"generation"} if "gc" in name else set() for name in FOREIGN}


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"([a-z_]+)(?=\{)", text))


def test_the_committed_json_is_up_to_date() -> None:
    for dashboard in DASHBOARDS:
        assert dashboard.file.read_text(encoding="utf-8") == text(dashboard)
    assert len(dashboards()) == len(DASHBOARDS)


def test_each_dashboard_has_a_uid_and_a_title_of_its_own() -> None:
    for key in ("uid", "title"):
        assert len({dashboard[key] for dashboard in dashboards()}) == len(dashboards())


@each_dashboard
def test_it_is_classic_json(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == 42
    assert "elements" not in dashboard


@each_dashboard
def test_ids_are_unique(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in [*panels(dashboard), *dashboard["panels"]] if panel["type"] != "row"]
    rows = [panel["id"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert len(set(ids)) == len(panels(dashboard))
    assert not set(ids) & set(rows)
    assert len(rows) == len(set(rows))


@each_dashboard
def test_panels_stand_in_the_grid_beside_each_other(dashboard: dict[str, Any]) -> None:
    for together in (dashboard["panels"], *(row["panels"] for row in dashboard["panels"] if row.get("panels"))):
        places = [panel["gridPos"] for panel in together]
        assert all(place["x"] + place["w"] <= 24 for place in places)
        for one, other in combinations(places, 2):
            apart = any(
                first[a] + first[b] <= second[a]
                for a, b in ("xw", "yh")
                for first, second in ((one, other), (other, one))
            )
            assert apart, (one, other)


@each_dashboard
def test_no_line_of_panels_is_left_half_empty(dashboard: dict[str, Any]) -> None:
    widths: dict[int, int] = {}
    for panel in panels(dashboard):
        top = panel["gridPos"]["y"] if panel not in dashboard["panels"] else -panel["gridPos"]["y"]
        widths[top] = widths.get(top, 0) + panel["gridPos"]["w"]
    assert set(widths.values()) == {24}


@each_dashboard
def test_rows_are_in_the_order_of_the_flow(dashboard: dict[str, Any]) -> None:
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows] == FLOW[dashboard["uid"]]
    assert all(upper["gridPos"]["y"] < lower["gridPos"]["y"] for upper, lower in pairwise(rows))
    assert [row["collapsed"] for row in rows] == [False] * (len(rows) - 1) + [True]


@each_panel
def test_every_description_is_a_sentence(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")


@each_panel
def test_every_unit_is_one_that_grafana_knows(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@each_panel
def test_every_line_has_a_name_of_its_own(panel: dict[str, Any]) -> None:
    for key in ("refId", "legendFormat"):
        names = [target[key] for target in panel["targets"]]
        assert all(names)
        assert len(names) == len(set(names))


@each_panel
def test_a_stat_uses_an_instant_query(panel: dict[str, Any]) -> None:
    assert all(target["instant"] is (panel["type"] == "stat") for target in panel["targets"])


@each_panel
def test_colours_begin_somewhere_and_rise(panel: dict[str, Any]) -> None:
    first, *steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert first is None
    assert steps == sorted(steps)


@each_dashboard
def test_the_other_dashboard_is_a_click_away_with_its_time_and_variables(dashboard: dict[str, Any]) -> None:
    (link,) = dashboard["links"]
    assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)
    assert all(set(link["tags"]) <= set(other["tags"]) for other in dashboards())


def test_a_line_of_an_instance_leads_to_that_instance() -> None:
    by_uid = {dashboard["uid"]: dashboard for dashboard in dashboards()}
    links = [
        (panel, link)
        for panel in panels(by_uid["ecg-monitor-overview"])
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
    ]
    assert len(links) > 3
    for panel, link in links:
        uid, _, query = link["url"].removeprefix("/d/").partition("?")
        names = {found["name"] for found in by_uid[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=|\$\{(\w+):queryparam\}", query)) <= {
            *((name, "") for name in names),
            *(("", name) for name in names),
        }
        assert "${__url_time_range}" in query
        assert all("{{instance}}" in target["legendFormat"] for target in panel["targets"])


@each_dashboard
def test_annotations_come_from_queries(dashboard: dict[str, Any]) -> None:
    marks = dashboard["annotations"]["list"]
    assert [mark["name"] for mark in marks] == ["Model change", "Threshold change", "Rebalance", "Start"]
    assert all(mark["datasource"]["uid"] == "${datasource}" for mark in marks)
    assert all(metrics_in(mark["expr"]) <= exported().keys() for mark in marks)


@each_dashboard
def test_the_variables_use_existing_metrics(dashboard: dict[str, Any]) -> None:
    for found in dashboard["templating"]["list"][1:]:
        metric, label = re.findall(r"label_values\((\w+).*, (\w+)\)", found["query"]["query"])[0]
        assert label in exported()[metric] | TARGET_LABELS


@each_panel
def test_every_metric_is_one_that_the_monitor_shows(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert metrics_in(target["expr"])
        assert metrics_in(target["expr"]) <= exported().keys()


@each_panel
def test_every_label_is_one_that_the_metric_has(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        labels = set().union(*(exported()[name] for name in metrics_in(target["expr"])))
        grouped = {label for found in re.findall(r"by \((.*?)\)", target["expr"]) for label in found.split(", ")}
        matched = set(re.findall(r"(\w+)=~?\"", target["expr"]))
        assert grouped | matched <= labels | TARGET_LABELS
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped


@each_panel
def test_every_edge_that_is_asked_for_is_one_of_the_histogram(panel: dict[str, Any]) -> None:
    metrics = Metrics(CollectorRegistry())
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    edges = {(sample.name, sample.labels["le"]) for sample in samples if "le" in sample.labels}
    for target in panel["targets"]:
        asked = set(re.findall(r'(\w+_bucket)\{[^}]*le="(.*?)"', target["expr"]))
        assert asked <= edges


def test_every_metric_of_the_monitor_and_of_the_forwarder_is_looked_at() -> None:
    """A histogram by any of its series."""

    def stems(names: set[str]) -> set[str]:
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}

    asked = [expression for dashboard in dashboards() for expression in expressions(dashboard)]
    assert stems(set(exported())) - stems(set().union(*map(metrics_in, asked))) == set()


def test_prometheus_accepts_every_query(tmp_path: Path) -> None:
    promtool = program("promtool", "prometheus")
    rules = [
        f"  - record: question:{number}\n    expr: |-\n      {question.expr}"
        for number, question in enumerate(questions())
    ]
    path = tmp_path / "rules.yml"
    path.write_text("\n".join(["groups:", "- name: dashboard", "  rules:", *rules]), encoding="utf-8")
    done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_query_has_a_variable_left_in_it() -> None:
    assert not [question for question in questions() if "$" in question.expr]
