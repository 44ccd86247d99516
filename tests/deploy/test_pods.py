"""The pods are restricted, limited in their resources, probed, and stopped as the daemon needs it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from monitor import settings
from monitor.alarms.alert import VERSION
from monitor.broker.confluent import group as confluent
from monitor.broker.kafka_python import group, producer
from monitor.broker.writing import transactions
from monitor.pipeline import loop
from monitor.settings import Settings
from monitor.telemetry import health
from tests.deploy.files import lineage, services
from tests.deploy.manifests import ALL, OWN, SHIPPED, container, environment, objects, pods

CONFIG_MAP_BYTES = 1024 * 1024  # what a ConfigMap may hold
each = pytest.mark.parametrize("name", ALL)
each_shipped = pytest.mark.parametrize("name", SHIPPED)


@each
def test_every_pod_is_as_the_restricted_profile_wants_it(name: str) -> None:
    for pod in pods(name).values():
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & pod.keys()
        kinds = {next(iter(volume.keys() - {"name"})) for volume in pod.get("volumes", [])}
        assert kinds <= {"configMap", "secret", "emptyDir"}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPort" in port for port in container(pod).get("ports", []))
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@each
def test_every_pod_is_the_images_user_without_a_token_or_foreign_variables(name: str) -> None:
    uid, gid = (int(part) for part in [one.rest for one in lineage("monitor") if one.word == "USER"][-1].split(":"))
    for pod in pods(name).values():
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (uid, gid)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


@each
def test_every_pod_is_bounded(name: str) -> None:
    for pod in pods(name).values():
        assert {"cpu", "memory"} <= container(pod)["resources"]["limits"].keys()
        assert {"cpu", "memory"} <= container(pod)["resources"]["requests"].keys()


@each
def test_every_mount_has_its_volume_and_is_read_only_but_for_dead_letters(name: str) -> None:
    for pod in pods(name).values():
        mounts = container(pod).get("volumeMounts", [])
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod.get("volumes", [])}
        assert {mount["name"] for mount in mounts if not mount.get("readOnly")} <= {"dead-letters"}


@each_shipped
def test_the_image_is_of_this_version_and_of_the_right_variant(name: str) -> None:
    variant = "cuda" if name == "overlays/gpu" else "cpu"
    assert {container(pod)["image"] for pod in pods(name).values()} == {f"ecg-monitor:{VERSION}-{variant}"}


@each
def test_the_monitor_accepts_its_environment(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env is
    for pod in pods(name).values():
        given = environment(name, pod)
        with monkeypatch.context() as patch:
            for variable, value in given.items():
                patch.setenv(variable, value)
            shown = settings.read().shown()
        assert {variable: shown[variable] for variable in given} == given


@each
def test_an_instance_has_the_unique_name_of_its_pod(name: str) -> None:
    assert environment(name, pods(name)["StatefulSet"])["MONITOR_INSTANCE"] == "metadata.name"


@each
def test_the_model_is_where_the_daemon_looks_for_it(name: str) -> None:
    pod = pods(name)["StatefulSet"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "model"]
    (mount,) = [one for one in container(pod)["volumeMounts"] if one["name"] == "model"]
    assert volume["configMap"]["name"].startswith("ecg-monitor-model")
    assert environment(name, pod)["MONITOR_MODEL"] == f"{mount['mountPath']}/ecg.safetensors"


def test_a_model_fits_into_a_config_map(model_file: Any) -> None:
    assert len(base64.b64encode(model_file.read_bytes())) < CONFIG_MAP_BYTES / 2


@each
def test_probes_use_the_right_pages_and_port(name: str) -> None:
    pod = pods(name)["StatefulSet"]
    asked = {kind: container(pod)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: page["path"] for kind, page in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    (port,) = container(pod)["ports"]
    assert {page["port"] for page in asked.values()} == {port["name"]}
    assert port["containerPort"] == Settings.model_fields["http_port"].default
    assert environment(name, pod)["MONITOR_HTTP_HOST"] == "0.0.0.0"


@each
def test_a_start_has_at_least_the_time_limit_of_a_stuck_loop(name: str) -> None:
    probe = container(pods(name)["StatefulSet"])["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= health.HUNG_SECONDS


@each
def test_a_pod_is_given_the_time_to_end(name: str) -> None:
    turn = transactions.DELIVER_SECONDS + group.REQUEST_MS / 1000
    closing = producer.DISCARD_SECONDS + max(group.COMMIT_TIMEOUT_MS / 1000, confluent.CLOSE_SECONDS)
    grace = pods(name)["StatefulSet"]["terminationGracePeriodSeconds"]
    assert grace > loop.DRAIN_SECONDS + 2 * turn + closing
    assert services()["monitor"]["stop_grace_period"] == f"{grace}s"


def test_a_whole_gpu_is_requested_and_its_taint_tolerated() -> None:
    pod = pods("overlays/gpu")["StatefulSet"]
    assert container(pod)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert [one["key"] for one in pod["tolerations"]] == ["nvidia.com/gpu"]
    assert environment("overlays/gpu", pod)["MONITOR_DEVICE"] == "cuda"


def test_a_new_model_or_setting_is_a_roll_out() -> None:
    pod = pods(OWN)["StatefulSet"]
    names = {one["metadata"]["name"] for one in objects(OWN, "ConfigMap")}
    (model,) = [one["configMap"]["name"] for one in pod["volumes"] if one["name"] == "model"]
    (config,) = [one["configMapRef"]["name"] for one in container(pod)["envFrom"]]
    assert {model, config} <= names
    assert not {"ecg-monitor-model", "ecg-monitor"} & names
