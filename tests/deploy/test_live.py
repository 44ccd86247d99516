"""Prometheus watches running monitors with planted faults: the alerts of these faults fire, and no others.

The rules are the shipped ones, their durations divided by 30 (`faulty_deployments.PACE`).
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
import torch

from deploy.grafana.dashboard import questions
from tests.deploy import faults, rulefiles
from tests.deploy.faults import HEALTHY
from tests.deploy.faulty_deployments import FaultyDeployments, all_faults_planted
from tests.deploy.files import program
from tests.deploy.traffic import BeatPool

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.kafka, pytest.mark.timeout(600)]  # about 100 s
PLANTED = faults.FIRST | faults.SECOND


@pytest.fixture(scope="module")
def prometheus(broker, default_model_file, ecg_data, tmp_path_factory):
    """The server that scraped all deployments; the monitors still run."""
    found = program("prometheus", "prometheus")
    if not broker.is_kafka:
        reason = "needs Apache Kafka: set KAFKA_HOME or KAFKA_BOOTSTRAP_SERVERS, or start Docker"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    with ExitStack() as stack:
        deployments = FaultyDeployments(
            stack, tmp_path_factory.mktemp("live"), broker.address, default_model_file, BeatPool(ecg_data)
        )
        yield stack.enter_context(all_faults_planted(found, deployments))


@pytest.mark.parametrize("alert", sorted(PLANTED), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_every_planted_fault_fires_its_alert(prometheus, alert):
    assert alert in prometheus.fired()


def test_every_alert_has_its_fault():
    severities = {(rule.name, rule.fields["labels"]["severity"]) for rule in rulefiles.alerts()}
    assert severities == {(alert.name, alert.severity) for alert in PLANTED}


def test_no_alert_fires_on_a_healthy_deployment(prometheus):
    assert prometheus.query(f'job:ecg_monitor_beats:rate5m{{job="{HEALTHY}"}} > 0')
    assert not {one.name for one in prometheus.fired() if one.job == HEALTHY}


def test_no_rule_fails(prometheus):
    groups = prometheus.ask("rules")["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"]] == [rule.name for rule in rulefiles.rules()]
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}


def test_every_recording_rule_records(prometheus):
    assert [name for name in sorted(rulefiles.recorded()) if not prometheus.query(name)] == []


def test_every_series_that_a_rule_looks_at_is_there(prometheus):
    names = set().union(*(rulefiles.metrics_in(rule.expr) for rule in rulefiles.rules()))
    assert [name for name in sorted(names) if not prometheus.query(name)] == []


@pytest.mark.parametrize("uid", sorted({question.dashboard for question in questions()}))
def test_every_query_of_a_dashboard_has_a_result(prometheus, uid):
    """Except another model, which was not planted, and the memory of a missing GPU."""
    asked = [question for question in questions() if question.dashboard == uid and question.name != "Model change"]
    asked = [question for question in asked if torch.cuda.is_available() or "gpu_memory" not in question.expr]
    ask = {True: prometheus.query, False: prometheus.query_range}
    assert [question for question in asked if not ask[question.is_instant](sooner(question))] == []


def sooner(question):
    """Annotations look back a minute, at monitors that are two minutes old: here at younger ones, and less far."""
    if question.kind != "annotation":
        return question.expr
    return question.expr.replace("offset 1m", "offset 6s").replace("> 120", "> 12")


def test_annotations_of_alerts_are_filled_in_completely(prometheus):
    found = prometheus.ask("alerts")["alerts"]
    assert found
    for one in found:
        for name in ("summary", "description", "runbook_url", "dashboard_url"):
            annotation = one["annotations"][name]
            assert annotation
            assert "no value" not in annotation
            assert "<error" not in annotation
            assert "{{" not in annotation
