"""Each alert has a description, a runbook and metrics that exist, and is tested firing and not firing."""

from __future__ import annotations

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from monitor import cli as monitor_cli
from monitor.settings import PREFIX, Settings
from tests.deploy import rulefiles
from tests.deploy.files import REPOSITORY, dashboards, panels, program, read_yaml
from tests.deploy.rulefiles import WATCHDOG, Rule
from trainer import cli as trainer_cli

RUNBOOKS = REPOSITORY / "docs" / "runbooks"
CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))
SECTIONS = ("What it means for patients", "How to confirm", "What to do", "What not to do")
ALERTS = rulefiles.alerts()
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{severity(alert)}")
each_rule = pytest.mark.parametrize("rule", rulefiles.rules(), ids=lambda rule: rule.name)
each_runbook = pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)


def severity(alert: Rule) -> str:
    return str(alert.fields["labels"]["severity"])


@cache
def looks() -> list[dict[str, Any]]:
    """Every PromQL test in the cases."""
    cases = [case for path in CASES for case in read_yaml(path)["tests"]]
    return [look for case in cases for look in case.get("promql_expr_test", ())]


def expected(name: str) -> list[bool]:
    """For each test of an alert in the cases: whether the alert should fire."""
    return [bool(look["exp_samples"]) for look in looks() if f'"{name}"' in look["expr"]]


@each_rule
def test_every_metric_is_one_that_the_monitor_shows(rule: Rule) -> None:
    known = rulefiles.exported() | rulefiles.recorded() | rulefiles.FOREIGN
    assert rulefiles.metrics_in(rule.expr) <= known
    assert rulefiles.metrics_in(rule.expr) or rule.name == WATCHDOG


def test_recorded_series_are_named_level_metric_operations_and_used() -> None:
    names = rulefiles.recorded()
    assert all(re.fullmatch(r"job:ecg_monitor_[a-z_]+:[a-z0-9_]+", name) for name in names)
    assert names == set().union(*(rulefiles.metrics_in(rule.expr) for rule in rulefiles.rules())) & names


@each_alert
def test_every_alert_has_a_severity(alert: Rule) -> None:
    assert alert.name.startswith("EcgMonitor")
    assert severity(alert) in {"critical", "warning"} or (alert.name, severity(alert)) == (WATCHDOG, "none")
    assert alert.name == WATCHDOG or {"for", "keep_firing_for"} & alert.fields.keys()


def test_at_most_twelve_alerts_page() -> None:
    assert len([alert for alert in ALERTS if severity(alert) == "critical"]) <= 12


@each_alert
def test_every_alert_is_described_in_sentences(alert: Rule) -> None:
    assert alert.annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert alert.annotations["summary"].endswith(".")
    assert alert.annotations["description"].count(". ") >= 1 or ": " in alert.annotations["description"]


@each_alert
def test_every_alert_leads_to_its_runbook_and_to_a_dashboard(alert: Rule) -> None:
    assert alert.annotations["runbook_url"].endswith(f"/{alert.name}.md")
    assert (RUNBOOKS / f"{alert.name}.md").is_file()
    (uid,) = re.findall(r"/d/([a-z-]+)", alert.annotations["dashboard_url"])
    assert uid in {dashboard["uid"] for dashboard in dashboards()}


def test_the_alert_about_the_forwarder_leads_to_the_panel_that_shows_how_late_alarms_are() -> None:
    (alert,) = [alert for alert in ALERTS if alert.name == "EcgMonitorForwarderBehind"]
    (panel,) = re.findall(r"ecg-monitor-overview\?viewPanel=panel-(\d+)$", alert.annotations["dashboard_url"])
    (overview,) = [found for found in dashboards() if found["uid"] == "ecg-monitor-overview"]
    (shown,) = [found["title"] for found in panels(overview) if found["id"] == int(panel)]
    assert shown == "Waiting for the receiver"


@each_runbook
def test_every_runbook_has_its_alert_and_answers_the_four_questions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    assert path.stem in {alert.name for alert in ALERTS}
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS


@each_runbook
def test_a_runbook_names_existing_metrics_settings_and_alerts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert rulefiles.metrics_in(text) <= rulefiles.exported() | rulefiles.recorded() | rulefiles.FOREIGN
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bMONITOR_[A-Z_]+", text)) <= settings
    assert set(re.findall(r"\bEcgMonitor[A-Z]\w+", text)) <= {alert.name for alert in ALERTS}


@each_runbook
def test_prometheus_understands_a_runbooks_queries(path: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```promql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    queries = [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]
    assert queries
    rules = "\n".join(f"  - {{record: 'question:{at}', expr: {query!r}}}" for at, query in enumerate(queries))
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: runbook\n  rules:\n{rules}\n", encoding="utf-8")
    promtool("check", "rules", str(tmp_path / "rules.yml"))


@each_runbook
def test_the_command_line_knows_a_runbooks_commands(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    asked = re.findall(r"^(ecg-\w+ .+)$", text, re.MULTILINE) + re.findall(r"`(ecg-\w+ [^`]+)`", text)
    tops = {"ecg-monitor": monitor_cli.commands, "ecg-trainer": trainer_cli.commands}
    for name, *words in map(shlex.split, asked):
        assert {word for word in words if word.startswith("--")} <= options(tops[name], words)


@each_runbook
def test_kafkas_tools_are_given_the_broker(path: Path) -> None:
    for command in re.findall(r"\bkafka-[\w-]+\.sh [^`\n]+", path.read_text(encoding="utf-8")):
        assert " --bootstrap-server BROKER:9092" in command


def options(command: click.Command, words: list[str]) -> set[str]:
    """The options of the innermost command."""
    if isinstance(command, click.Group):
        return options(command.commands[words[0]], words[1:])
    return {name for parameter in command.params for name in parameter.opts}


def promtool(*arguments: str) -> None:
    command = [program("promtool", "prometheus"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@each_alert
def test_every_alert_is_tested_firing_and_not_firing(alert: Rule) -> None:
    assert alert.name == WATCHDOG or set(expected(alert.name)) == {True, False}


def test_every_recorded_series_is_tested() -> None:
    tried = "".join(path.read_text(encoding="utf-8") for path in CASES)
    assert all(f"{name}" in tried for name in rulefiles.recorded())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_rules_pass_their_promtool_cases(path: Path) -> None:
    promtool("test", "rules", str(path))
