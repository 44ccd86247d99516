"""Monitors are killed, frozen and stopped and their broker is restarted: the alerts are those of an undisturbed run."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from tests.chaos.disturbed_run import run_disturbed
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.testbed import Inputs
from tests.conftest import CLIENTS

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(900)]  # about 100 s on a quiet machine


@pytest.fixture
def inputs(default_model_file, ecg_data, tmp_path):
    """A Kafka for this test alone, so that killing it disturbs no other test."""
    home = os.environ.get("KAFKA_HOME")
    if not home or not shutil.which("java"):
        reason = "needs an Apache Kafka to kill: set KAFKA_HOME, with Java 17 on the PATH"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    return Inputs(Path(home).resolve(), default_model_file, ecg_data, tmp_path, delivery=None)


@pytest.mark.parametrize("client", CLIENTS)
def test_no_alert_is_missing_wrong_or_duplicated_under_disturbances(inputs, caplog, monkeypatch, client):
    monkeypatch.setenv("MONITOR_KAFKA_CLIENT", client)  # the monitors inherit it
    caplog.set_level(logging.CRITICAL, "kafka")  # its broker is killed: the client of the load has much to say
    plan = SCENARIOS["short"]
    report = run_disturbed("short", plan, 1, inputs)
    report.write(inputs.folder / "report.json")
    assert report.holds, report.text()
    done = [report.figures[name] for name in ("kills", "freezes", "leaves", "node kills")]
    assert done == [plan.kills, plan.freezes, plan.leaves, plan.node_kills]
    assert report.figures["episodes"] > 100
