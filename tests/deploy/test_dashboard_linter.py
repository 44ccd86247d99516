"""The 17 rules of Grafana's dashboard-linter 0.2.0, under their own names, stricter where it is blind.

It looks at stat, graph, table, timeseries and gauge panels alone; here a heatmap has a unit and a description too.
target-promql-rule is `test_dashboard.test_prometheus_accepts_every_query`.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.files import dashboards, expressions, panels

each_dashboard = pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: dashboard["uid"])


def variable(dashboard: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in dashboard["templating"]["list"] if one["name"] == name]
    return dict(found)


def asking(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in panels(dashboard) if panel["type"] != "text"]


def selectors(dashboard: dict[str, Any]) -> list[str]:
    return [found for text in expressions(dashboard) for found in re.findall(r"\w+(\{.*?\})", text)]


@each_dashboard
def test_template_datasource_rule(dashboard: dict[str, Any]) -> None:
    found = variable(dashboard, "datasource")
    assert (found["type"], found["query"], found["label"]) == ("datasource", "prometheus", "Data source")


@pytest.mark.parametrize("name", ["job", "instance"])
@each_dashboard
def test_template_job_rule_and_template_instance_rule(dashboard: dict[str, Any], name: str) -> None:
    found = variable(dashboard, name)
    assert (found["type"], found["label"]) == ("query", name.capitalize())
    assert found["datasource"]["uid"] == "${datasource}"
    assert (found["multi"], found["includeAll"], found["allValue"]) == (True, True, ".+")


@each_dashboard
def test_template_label_promql_rule(dashboard: dict[str, Any]) -> None:
    for found in dashboard["templating"]["list"][1:]:
        assert re.fullmatch(r"label_values\(\w+(\{\w+=~\"[^\"]+\"(, \w+=~\"\$\w+\")*\})?, \w+\)", found["definition"])
        assert found["definition"] == found["query"]["query"]


@each_dashboard
def test_template_on_time_change_reload_rule(dashboard: dict[str, Any]) -> None:
    assert all(found["refresh"] == 2 for found in dashboard["templating"]["list"] if found["type"] == "query")


@each_dashboard
def test_panel_datasource_rule(dashboard: dict[str, Any]) -> None:
    for panel in asking(dashboard):
        asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in asked)


@each_dashboard
def test_panel_title_description_rule(dashboard: dict[str, Any]) -> None:
    assert all(panel["title"] and panel["description"] for panel in asking(dashboard))


@each_dashboard
def test_panel_units_rule(dashboard: dict[str, Any]) -> None:
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in asking(dashboard))


@each_dashboard
def test_panel_no_targets_rule(dashboard: dict[str, Any]) -> None:
    assert all(panel["targets"] for panel in asking(dashboard))


@each_dashboard
def test_target_logql_rule_and_target_logql_auto_rule(dashboard: dict[str, Any]) -> None:
    assert not any("|=" in text or "|~" in text or "$__auto" in text for text in expressions(dashboard))


@each_dashboard
def test_target_rate_interval_rule(dashboard: dict[str, Any]) -> None:
    ranges = [found for text in expressions(dashboard) for found in re.findall(r"\[(.*?)\]", text)]
    assert set(ranges) == {"$__rate_interval"}


@each_dashboard
def test_target_job_rule_and_target_instance_rule(dashboard: dict[str, Any]) -> None:
    assert all(found.startswith('{job=~"$job", instance=~"$instance"') for found in selectors(dashboard))
    for text in expressions(dashboard):
        assert re.findall(r"ecg_monitor_\w+", text) == re.findall(r"(ecg_monitor_\w+)\{", text)


@each_dashboard
def test_target_counter_agg_rule(dashboard: dict[str, Any]) -> None:
    """Counters are rated before they are added up, also those with matchers, and nothing else is rated."""
    for text in expressions(dashboard):
        rated = set(re.findall(r"rate\((\w+)\{[^}]*\}\[", text))
        named = set(re.findall(r"(\w+)\{", text))
        assert rated == {name for name in named if re.search(r"_(total|bucket|sum|count)$", name)}


@each_dashboard
def test_uneditable_dashboard(dashboard: dict[str, Any]) -> None:
    assert dashboard["editable"] is False
