"""The dashboard is what its Python makes, asks for metrics that there are, and says on every panel what it shows."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from deploy.grafana import dashboard as generator
from monitor.metrics import Metrics
from tests.deploy.files import DASHBOARD, as_now, dashboard, expressions, panels

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}  # Prometheus' own, and the client's
TARGET_LABELS = {"job", "instance"}  # of every series, by Prometheus
SELECTOR = '{job=~"$job", instance=~"$instance"}'
UNITS = {"none", "short", "s", "cps", "cpm", "bytes", "percentunit", "bool_yes_no"}
each_expression = pytest.mark.parametrize("expression", expressions())
each_panel = pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])


def exported() -> dict[str, set[str]]:
    """The labels of each series that a monitor at work shows."""
    metrics = Metrics(CollectorRegistry())
    metrics.model_info.info({"model_id": "", "device": ""})
    metrics.build_info.info({"version": ""})
    for gauge in (metrics.lag_records, metrics.lag_seconds):
        gauge.labels("0").set(0)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    own = {sample.name: set(sample.labels) for sample in samples if not sample.name.endswith("_created")}
    return own | {name: set() for name in FOREIGN}


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"([a-z_]+)(?=\{)", text))


def test_the_committed_json_is_what_the_python_makes() -> None:
    assert DASHBOARD.read_text(encoding="utf-8") == generator.text()


def test_it_is_classic_json_that_nobody_can_edit() -> None:
    found = dashboard()
    assert (found["schemaVersion"], found["editable"], found["uid"]) == (42, False, "ecg-monitor-overview")


def test_ids_are_unique() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_panels_stand_in_the_grid_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = any(
            first[a] + first[b] <= second[a] for a, b in ("xw", "yh") for first, second in ((one, other), (other, one))
        )
        assert apart, (one, other)


def test_rows_are_in_the_order_of_the_flow() -> None:
    rows = [panel for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows] == ["Is it working", "Ingest", "Inference", "Alarms", "Delivery", "Process"]
    assert all(upper["gridPos"]["y"] < lower["gridPos"]["y"] for upper, lower in pairwise(rows))


@each_panel
def test_every_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@each_panel
def test_every_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in asked)


@each_panel
def test_every_line_has_a_name_of_its_own(panel: dict[str, Any]) -> None:
    for key in ("refId", "legendFormat"):
        names = [target[key] for target in panel["targets"]]
        assert all(names)
        assert len(names) == len(set(names))


@each_panel
def test_a_number_is_asked_for_now(panel: dict[str, Any]) -> None:
    assert all(target["instant"] is (panel["type"] == "stat") for target in panel["targets"])


def test_the_variables_are_as_the_dashboard_linter_wants_them() -> None:
    datasource, *others = dashboard()["templating"]["list"]
    assert (datasource["name"], datasource["label"], datasource["query"]) == ("datasource", "Data source", "prometheus")
    assert [(found["name"], found["label"]) for found in others] == [("job", "Job"), ("instance", "Instance")]
    for found in others:
        assert found["datasource"]["uid"] == "${datasource}"
        assert (found["multi"], found["includeAll"], found["allValue"], found["refresh"]) == (True, True, ".+", 2)


def test_the_variables_look_at_metrics_that_there_are() -> None:
    queries = [found["query"]["query"] for found in dashboard()["templating"]["list"][1:]]
    named = {re.findall(r"\((\w+)", query)[0] for query in queries}
    assert named <= exported().keys()


@each_expression
def test_every_metric_is_one_that_the_monitor_shows(expression: str) -> None:
    assert metrics_in(expression)
    assert metrics_in(expression) <= exported().keys()


@each_expression
def test_every_selector_is_bound_to_job_and_instance(expression: str) -> None:
    assert set(re.findall(r"\{.*?\}", expression)) == {SELECTOR}


@each_expression
def test_counters_are_rated_over_the_rate_interval_and_nothing_else_is(expression: str) -> None:
    without = expression.replace(SELECTOR, "")
    rated = set(re.findall(r"rate\((\w+)\[\$__rate_interval\]\)", without))
    counters = {name for name in metrics_in(expression) if re.search(r"_(total|bucket|sum|count)$", name)}
    assert rated == counters
    assert without.count("[") == without.count("[$__rate_interval]")


@pytest.mark.parametrize(
    "target", [target for panel in panels() for target in panel["targets"]], ids=lambda target: target["expr"]
)
def test_every_label_is_one_that_the_metric_has(target: dict[str, Any]) -> None:
    labels = set().union(*(exported()[name] for name in metrics_in(target["expr"])))
    grouped = {label for found in re.findall(r"by \((.*?)\)", target["expr"]) for label in found.split(", ")}
    assert grouped <= labels | TARGET_LABELS
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped


def test_every_metric_of_the_monitor_is_looked_at() -> None:
    """A histogram by any of its series."""

    def stems(names: set[str]) -> set[str]:
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}

    shown = set().union(*(metrics_in(text) for text in expressions()))
    assert stems(set(exported())) == stems(shown)


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, of Debian's package prometheus for one")
    rules = [f"  - record: question:{number}\n    expr: {as_now(text)}" for number, text in enumerate(expressions())]
    path = tmp_path / "rules.yml"
    path.write_text("\n".join(["groups:", "- name: dashboard", "  rules:", *rules]), encoding="utf-8")
    done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
