"""The compose stack on a Docker engine, started as a user would, until beats reach the dashboard."""

from __future__ import annotations

import json
import os
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from pytest_docker.plugin import Services, get_docker_services

from deploy.grafana.dashboard import questions
from monitor.demo.embedded_broker import free_port
from tests.brokers import docker_works
from tests.deploy.files import COMPOSE, dashboards

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = ("ECG_KAFKA_PORT", "ECG_PROMETHEUS_PORT", "ECG_ALERTMANAGER_PORT", "ECG_GRAFANA_PORT")
ANSWER_SECONDS = 120.0

# The images are built and ECG5000 is fetched, which takes long.
pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Services]:
    """The whole stack, on free ports, under a name of its own; gone afterwards, volumes included."""
    if not docker_works():
        pytest.skip("needs a Docker engine with compose: `docker info` or `docker compose version` fails")
    up = ["--profile demo --profile forward up --detach --build"]
    down = ["--profile demo --profile forward down --volumes --remove-orphans"]
    with pytest.MonkeyPatch.context() as patch:
        for name in PORTS:
            patch.setenv(name, str(free_port()))
        with get_docker_services("docker compose", [str(COMPOSE)], f"ecg-monitor-{os.getpid()}", up, down) as services:
            yield services


def get(port: str, path: str, **query: str) -> Any:
    """What a service answers on the port that a variable names; None while it does not."""
    url = f"http://127.0.0.1:{os.environ[port]}{path}?{urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return None


def wait_for(stack: Services, expression: str) -> None:
    """Wait until Prometheus answers an expression with any series."""

    def answered() -> bool:
        answer = get("ECG_PROMETHEUS_PORT", "/api/v1/query", query=expression)
        return bool(answer and answer["data"]["result"])

    stack.wait_until_responsive(timeout=ANSWER_SECONDS, pause=1, check=answered)


def test_two_monitors_are_scraped_and_judge_beats(stack: Services) -> None:
    wait_for(stack, 'count(up{job="ecg-monitor"} == 1) == 2')
    wait_for(stack, "sum(ecg_monitor_beats_total) > 1000")


def test_all_partitions_that_topics_init_made_are_read(stack: Services) -> None:
    wait_for(stack, "sum(ecg_monitor_assigned_partitions) == 8")


def test_every_query_of_the_dashboards_has_a_result(stack: Services) -> None:
    wait_for(stack, "sum(ecg_monitor_alert_latency_seconds_count) > 0")
    for question in questions():
        if question.kind != "annotation" and question.name != "GPU memory":
            wait_for(stack, question.expr)


def test_grafana_shows_the_dashboards_without_a_login(stack: Services) -> None:
    for dashboard in dashboards():
        path = f"/api/dashboards/uid/{dashboard['uid']}"
        stack.wait_until_responsive(timeout=ANSWER_SECONDS, pause=1, check=partial(get, "ECG_GRAFANA_PORT", path))
        assert get("ECG_GRAFANA_PORT", path)["dashboard"]["title"] == dashboard["title"]


def test_alertmanager_receives_alerts_from_prometheus(stack: Services) -> None:
    def heard() -> bool:
        alerts = get("ECG_ALERTMANAGER_PORT", "/api/v2/alerts") or []
        return any(alert["labels"]["alertname"] == "EcgMonitorWatchdog" for alert in alerts)

    stack.wait_until_responsive(timeout=ANSWER_SECONDS, pause=1, check=heard)
