"""Monitors are killed, frozen and stopped and their broker is restarted: the alerts are those of an undisturbed run."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.disturbed_run import run_disturbed
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.testbed import Inputs
from tests.conftest import CLIENTS

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(900)]  # about 100 s on a quiet machine


@pytest.fixture
def make_inputs(tmp_path, caplog):
    """Makes the inputs of a scenario on a Kafka of its own, so that killing it disturbs no other test."""
    caplog.set_level(logging.CRITICAL, "kafka")  # its broker is killed: the client of the load has much to say
    home = os.environ.get("KAFKA_HOME")
    if not home or not shutil.which("java"):
        reason = "needs an Apache Kafka to kill: set KAFKA_HOME, with Java 17 on the PATH"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    return lambda model, data: Inputs(Path(home).resolve(), model, data, tmp_path, delivery=None)


@pytest.mark.parametrize("client", CLIENTS)
def test_no_alert_is_missing_wrong_or_duplicated_under_disturbances(
    make_inputs, default_model_file, ecg_data, monkeypatch, client
):
    inputs = make_inputs(default_model_file, ecg_data)
    monkeypatch.setenv("MONITOR_KAFKA_CLIENT", client)  # the monitors inherit it
    plan = SCENARIOS["short"]
    report = run_disturbed("short", plan, 1, inputs)
    report.write(inputs.folder / "report.json")
    assert report.holds, report.text()
    done = [report.figures[name] for name in ("kills", "freezes", "leaves", "node kills")]
    assert done == [plan.kills, plan.freezes, plan.leaves, plan.node_kills]
    assert report.figures["episodes"] > 100


def test_alarms_by_profiles_are_those_of_an_undisturbed_run(make_inputs, recordings_model_file, mitdb, monkeypatch):
    inputs = make_inputs(recordings_model_file, mitdb)
    monkeypatch.setenv("MONITOR_KAFKA_CLIENT", "confluent")
    report = run_disturbed("short", replace(SCENARIOS["short"], beats=12_000), 1, inputs)  # so many that sources learn
    report.write(inputs.folder / "report.json")
    assert report.holds, report.text()
    assert report.figures["personal"] > 20  # of 62 physiological events; 42 were measured
    assert report.figures["kills"] == SCENARIOS["short"].kills
