"""The compose file is valid, opens no port that it need not, and fits the settings of the monitor."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitor import settings
from monitor.broker.confluent import group as confluent
from monitor.broker.kafka_python import group, producer
from monitor.broker.writing import transactions
from monitor.pipeline import loop
from tests.deploy.files import COMPOSE, REPOSITORY, lineage, read_yaml, services

SERVICES = services()
DAEMONS = ("monitor", "monitor-gpu")
OURS = ("topics-init", *DAEMONS, "forwarder", "publisher")
WITH_A_PAGE = (*DAEMONS, "forwarder")
LONG_RUNNING = [name for name, service in SERVICES.items() if service["restart"] == "unless-stopped"]
each_service = pytest.mark.parametrize("name", SERVICES)


def check(path: Path) -> subprocess.CompletedProcess[str]:
    """The errors of a file by the schema of the compose specification, from the installed package."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    """The messages of compose-lint about a file, with our configuration. Its wheel installs it beside Python."""
    config = ["--config", str(REPOSITORY / ".compose-lint.yml"), "--strict-config"]
    command = [str(Path(sys.executable).parent / "compose-lint"), "check", "--fail-on", "low", *config, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[name].get("environment", {})
    return found


def test_the_file_is_valid_by_the_compose_specification() -> None:
    found = check(COMPOSE)
    assert found.returncode == 0, found.stdout


def test_the_specification_would_notice_a_mistyped_key(tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text(COMPOSE.read_text(encoding="utf-8").replace("mem_limit:", "mem_limits:"), encoding="utf-8")
    assert check(path).returncode == 1


def test_the_linter_finds_only_the_listed_exceptions() -> None:
    found = lint(COMPOSE)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_linter_would_notice_a_port_that_is_open_to_all(tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text(COMPOSE.read_text(encoding="utf-8").replace('["127.0.0.1:', '["'), encoding="utf-8")
    assert lint(path).returncode == 1


def test_the_file_has_no_version_and_one_name() -> None:
    whole = read_yaml(COMPOSE)
    assert "version" not in whole
    assert whole["name"] == "ecg-monitor"


@each_service
def test_every_foreign_image_is_pinned_by_its_version(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image.endswith(":local") or re.search(r":v?\d+\.\d+\.\d+$", image)


def test_one_service_alone_builds_each_image() -> None:
    built = [service["image"] for service in SERVICES.values() if "build" in service]
    assert len(built) == len(set(built))
    assert {service["image"] for service in SERVICES.values() if service["image"].endswith(":local")} == set(built)


@each_service
def test_every_port_is_bound_to_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@each_service
def test_no_service_has_access_to_the_host(name: str) -> None:
    reaching = {"privileged", "network_mode", "pid", "ipc", "devices", "cap_add", "volumes_from", "userns_mode"}
    assert not reaching & SERVICES[name].keys()


@each_service
def test_what_is_mounted_from_here_is_our_configuration_read_only(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        if isinstance(mount, dict):
            assert mount["source"].startswith("./deploy/")
            assert (REPOSITORY / mount["source"]).is_dir()
            assert mount["read_only"]
            assert mount["bind"] == {"create_host_path": False}
        else:
            assert mount.split(":")[0] in read_yaml(COMPOSE)["volumes"]


@each_service
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert {"pids_limit", "mem_limit", "cpus"} <= service.keys()
    assert service["user"].split(":")[0] not in {"0", "root"}


@each_service
def test_every_root_is_read_only_but_kafkas(name: str) -> None:
    assert SERVICES[name].get("read_only", False) is (name != "kafka")


@pytest.mark.parametrize("name", [name for name in LONG_RUNNING if name != "publisher"])
def test_every_service_that_serves_a_page_has_a_health_check(name: str) -> None:
    in_image = name in DAEMONS and any(found.word == "HEALTHCHECK" for found in lineage("monitor"))
    assert in_image or SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_services_without_a_page_disable_the_daemons_health_check() -> None:
    for name in OURS:
        assert SERVICES[name].get("healthcheck", {}).get("disable", False) is (name not in WITH_A_PAGE)


@each_service
def test_every_dependency_names_its_condition(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        once = SERVICES[other]["restart"] == "no"
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")


@pytest.mark.parametrize("name", DAEMONS)
def test_the_monitor_scales(name: str) -> None:
    assert not {"container_name", "hostname", "ports"} & SERVICES[name].keys()
    assert "MONITOR_INSTANCE" not in environment(name)


def test_there_are_two_monitors() -> None:
    assert SERVICES["monitor"]["scale"] == 2


def test_the_forwarder_sends_to_the_alertmanager_and_is_asked_at_its_own_port() -> None:
    forwarder, port = SERVICES["forwarder"], settings.Settings.model_fields["forward_http_port"].default
    ours = SERVICES["alertmanager"]["ports"][0].rpartition(":")[2]
    assert forwarder["command"][-1] == f"http://alertmanager:{ours}"
    assert f"'127.0.0.1', {port}" in forwarder["healthcheck"]["test"][-1]
    folder = Path(environment("forwarder")["MONITOR_FORWARD_DEAD_LETTERS"]).parent
    assert forwarder["volumes"] == [f"forwarder-data:{folder}"]


@pytest.mark.parametrize("name", DAEMONS)
def test_the_monitor_is_given_the_time_to_end(name: str) -> None:
    turn = transactions.DELIVER_SECONDS + group.REQUEST_MS / 1000
    closing = producer.DISCARD_SECONDS + max(group.COMMIT_TIMEOUT_MS / 1000, confluent.CLOSE_SECONDS)
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > loop.DRAIN_SECONDS + 2 * turn + closing


@pytest.mark.parametrize("name", DAEMONS)
def test_the_monitor_only_reads_the_model_that_the_trainer_writes(name: str) -> None:
    assert SERVICES[name]["volumes"] == ["models:/models:ro"]
    assert "models:/models" in SERVICES["trainer"]["volumes"]
    assert environment(name)["MONITOR_MODEL"] in SERVICES["trainer"]["command"][0]


def test_a_monitor_on_the_gpu_has_cudas_torch_a_gpu_and_not_without() -> None:
    service = SERVICES["monitor-gpu"]
    assert service["build"]["args"] == {"VARIANT": "cuda"}
    assert environment("monitor-gpu")["MONITOR_DEVICE"] == "cuda"
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_a_monitor_on_the_gpu_is_scraped_like_the_others() -> None:
    assert SERVICES["monitor-gpu"]["networks"] == {"inner": {"aliases": ["monitor"]}}


def test_alertmanager_alone_knows_where_alerts_go() -> None:
    alertmanager = SERVICES["alertmanager"]
    (mounted,) = [mount for mount in alertmanager["volumes"] if isinstance(mount, dict)]
    config = next(word for word in alertmanager["command"] if word.startswith("--config.file="))
    inside = Path(config.removeprefix("--config.file="))
    assert str(inside.parent) == mounted["target"]
    assert (REPOSITORY / mounted["source"] / inside.name).is_file()


def test_profiles_add_the_demos_beats_a_forwarder_and_a_gpu() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"publisher": ["demo"], "forwarder": ["forward"], "monitor-gpu": ["gpu"]}


def test_the_daemon_has_no_access_to_outside_networks() -> None:
    networks = read_yaml(COMPOSE)["networks"]
    assert networks["inner"] == {"internal": True}
    assert all([*SERVICES[name]["networks"]] == ["inner"] for name in OURS)
    assert all(set(service["networks"]) <= networks.keys() for service in SERVICES.values())


@pytest.mark.parametrize("name", OURS)
def test_the_monitor_accepts_its_environment(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env is
    for variable, value in environment(name).items():
        monkeypatch.setenv(variable, value)
    wanted: dict[str, Any] = settings.read().shown()
    assert {variable: wanted[variable] for variable in environment(name)} == environment(name)


@pytest.mark.parametrize("name", WITH_A_PAGE)
def test_the_monitor_is_scraped_from_outside_its_container(name: str) -> None:
    assert environment(name)["MONITOR_HTTP_HOST"] == "0.0.0.0"
