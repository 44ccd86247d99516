"""The broker's variables are complete, fit those of its clients, and are accepted by Kafka's start script."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import services

KAFKA = services()["kafka"]
VARIABLES: dict[str, str] = KAFKA["environment"]
FULL_SET = {
    "CLUSTER_ID",
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_CONTROLLER_LISTENER_NAMES",
    "KAFKA_CONTROLLER_QUORUM_VOTERS",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS",
    "KAFKA_INTER_BROKER_LISTENER_NAME",
    "KAFKA_LISTENERS",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
    "KAFKA_LOG_DIRS",
    "KAFKA_NODE_ID",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
    "KAFKA_PROCESS_ROLES",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
}


def listeners(variable: str) -> dict[str, str]:
    return dict(entry.split("://") for entry in VARIABLES[variable].split(","))


def test_all_variables_are_set_because_setting_one_drops_the_defaults() -> None:
    assert VARIABLES.keys() >= FULL_SET


def test_every_listener_has_a_protocol_and_a_name_to_be_found_by() -> None:
    protocols = dict(entry.split(":") for entry in VARIABLES["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert listeners("KAFKA_LISTENERS").keys() == protocols.keys()
    assert listeners("KAFKA_ADVERTISED_LISTENERS").keys() == protocols.keys() - {"CONTROLLER"}


def test_containers_connect_by_the_service_name() -> None:
    inside = listeners("KAFKA_ADVERTISED_LISTENERS")["PLAINTEXT"]
    assert services()["monitor"]["environment"]["MONITOR_BOOTSTRAP_SERVERS"] == inside == "kafka:19092"
    assert KAFKA["healthcheck"]["test"][-1].endswith(":19092")


def test_this_machine_connects_by_the_published_port() -> None:
    port = listeners("KAFKA_ADVERTISED_LISTENERS")["PLAINTEXT_HOST"].removeprefix("localhost")
    assert KAFKA["ports"] == [f"127.0.0.1{port}{listeners('KAFKA_LISTENERS')['PLAINTEXT_HOST']}"]


def test_the_controller_listens_only_locally() -> None:
    voters = VARIABLES["KAFKA_CONTROLLER_QUORUM_VOTERS"]
    assert voters == f"{VARIABLES['KAFKA_NODE_ID']}@{listeners('KAFKA_LISTENERS')['CONTROLLER']}"
    assert "127.0.0.1" in voters


def test_records_lie_on_the_named_volume() -> None:
    assert f"kafka-data:{VARIABLES['KAFKA_LOG_DIRS']}" in KAFKA["volumes"]


def test_topics_are_not_created_automatically() -> None:
    assert VARIABLES["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_health_check_names_the_script_by_its_full_path() -> None:
    assert "/opt/kafka/bin/kafka-broker-api-versions.sh" in KAFKA["healthcheck"]["test"]


def test_kafkas_own_start_script_accepts_the_variables(tmp_path: Path) -> None:
    """The image's entrypoint runs this class: variables to properties, and the log formatted with them."""
    home = os.environ.get("KAFKA_HOME")
    if not home or shutil.which("java") is None:
        reason = "needs Java and an Apache Kafka folder in KAFKA_HOME"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    folders = {name: tmp_path / name for name in ("default", "mounted", "final")}
    for folder in folders.values():
        folder.mkdir()
    paths = [part for name, folder in folders.items() for part in (f"--{name}-configs-dir", str(folder))]
    command = ["java", "-cp", f"{Path(home).resolve()}/libs/*", "kafka.docker.KafkaDockerWrapper", "setup", *paths]
    variables = VARIABLES | {"KAFKA_LOG_DIRS": str(tmp_path / "data"), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    properties = (folders["final"] / "server.properties").read_text(encoding="utf-8").splitlines()
    assert f"advertised.listeners={VARIABLES['KAFKA_ADVERTISED_LISTENERS']}" in properties
    assert VARIABLES["CLUSTER_ID"] in (tmp_path / "data" / "meta.properties").read_text(encoding="utf-8")
