"""The manifests are valid, follow the restricted pod security standard, and fit this monitor."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.kubernetes import rules
from monitor.forward.dead_letter_file import MAX_BYTES
from monitor.settings import Settings
from tests.deploy.files import DEPLOY, read_yaml
from tests.deploy.manifests import ALL, FORWARDER, KUBERNETES, OWN, build, container, environment, objects, pods, the

CONFIG_MAP_BYTES = 1024 * 1024  # what a ConfigMap may hold
DAEMON = {"app.kubernetes.io/name": "ecg-monitor", "app.kubernetes.io/component": "daemon"}
each = pytest.mark.parametrize("name", ALL)


@cache
def custom() -> dict[str, Any]:
    """The models of objects that are not Kubernetes' own. Importing them takes 9 s, of one worker only."""
    from cloudcoil.models.keda import v1alpha1 as keda  # noqa: PLC0415
    from cloudcoil.models.prometheus_operator import v1 as operator  # noqa: PLC0415

    return {
        "ScaledObject": keda.ScaledObject,
        "TriggerAuthentication": keda.TriggerAuthentication,
        "PodMonitor": operator.PodMonitor,
        "PrometheusRule": operator.PrometheusRule,
    }


def validate(found: dict[str, Any]) -> None:
    """Hold an object against its schema; a field that it does not know is an error, too."""
    model = custom().get(found["kind"])
    if model is None:
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
        return
    known = model.model_validate(found).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert known == found


@each
def test_every_object_is_valid(name: str) -> None:
    for found in build(name):
        validate(found)


@pytest.mark.parametrize("kind", ["StatefulSet", "NetworkPolicy", "PodMonitor", "ScaledObject"])
def test_a_mistyped_field_would_be_noticed(kind: str) -> None:
    found = json.loads(json.dumps(the("overlays/keda", kind)))
    found["spec"]["replcas"] = 2
    with pytest.raises((AssertionError, kubernetes_validate.ValidationError)):
        validate(found)


@each
def test_everything_lies_in_one_namespace_that_is_restricted(name: str) -> None:
    labels = the(name, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    names = {found["metadata"].get("namespace") for found in build(name) if found["kind"] != "Namespace"}
    assert names == {the(name, "Namespace")["metadata"]["name"]}


@each
def test_selectors_find_the_daemon_and_nothing_else(name: str) -> None:
    daemon = the(name, "StatefulSet")["spec"]
    assert daemon["selector"]["matchLabels"] == daemon["template"]["metadata"]["labels"] == DAEMON
    assert the(name, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == DAEMON
    assert the(name, "Service")["spec"]["selector"] == DAEMON
    monitors = [one for one in objects(name, "PodMonitor") if one["metadata"]["name"] != FORWARDER]
    assert all(one["spec"]["selector"]["matchLabels"] == DAEMON for one in monitors)
    assert all(one["spec"]["template"]["metadata"]["labels"] != DAEMON for one in objects(name, "Job"))


@each
def test_nodes_are_drained_one_pod_at_a_time(name: str) -> None:
    found = the(name, "PodDisruptionBudget")["spec"]
    assert (found["maxUnavailable"], found["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


@each
def test_the_network_policy_allows_kafka_and_dns_out_and_prometheus_in(name: str) -> None:
    policy = the(name, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "ecg-monitor"}
    (scrape,) = policy["ingress"]
    assert [port["port"] for port in scrape["ports"]] == [Settings.model_fields["http_port"].default]
    assert [{port["port"] for port in rule["ports"]} for rule in policy["egress"]] == [{9092, 9093, 9094}, {53}]
    servers = environment(name, pods(name)["StatefulSet"])["MONITOR_BOOTSTRAP_SERVERS"].split(",")
    assert {int(server.rpartition(":")[2]) for server in servers} <= {9092, 9093, 9094}


def test_keda_reads_the_lag_of_the_monitor_and_alone_sets_the_number_of_pods() -> None:
    (trigger,) = the("overlays/keda", "ScaledObject")["spec"]["triggers"]
    assert "replicas" not in the("overlays/keda", "StatefulSet")["spec"]
    given = environment("overlays/keda", pods("overlays/keda")["StatefulSet"])
    default = {name: field.default for name, field in Settings.model_fields.items()}
    asked = trigger["metadata"]
    assert trigger["type"] == "kafka"
    assert asked["bootstrapServers"] == given["MONITOR_BOOTSTRAP_SERVERS"]
    assert asked["consumerGroup"] == default["group_id"]
    assert asked["topic"] == default["beats_topic"]
    assert asked["offsetResetPolicy"] == default["offset_reset"]


def test_keda_never_scales_to_zero_nor_above_the_number_of_partitions() -> None:
    scaled = the("overlays/keda", "ScaledObject")["spec"]
    words = container(pods(OWN)["Job"])["args"]
    assert scaled["minReplicaCount"] >= 1
    assert scaled["maxReplicaCount"] == int(words[words.index("--partitions") + 1])
    assert scaled["scaleTargetRef"]["name"] == the("overlays/keda", "StatefulSet")["metadata"]["name"]


def test_rules_are_the_ones_of_prometheus() -> None:
    files = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    groups = [group for path in files for group in read_yaml(path)["groups"]]
    assert the("overlays/cpu", "PrometheusRule")["spec"]["groups"] == groups
    assert len(groups) > 0


def test_the_committed_rules_are_up_to_date() -> None:
    assert rules.FILE.read_text(encoding="utf-8") == rules.text()


def test_dashboards_are_the_ones_of_grafana() -> None:
    labelled = [one for one in objects("overlays/cpu", "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]]
    given = {file: text for one in labelled for file, text in one["data"].items()}
    files = (DEPLOY / "grafana" / "dashboards").glob("*.json")
    assert given == {path.name: path.read_text(encoding="utf-8") for path in files}
    assert all(len(text) < CONFIG_MAP_BYTES for text in given.values())


def test_pods_are_scraped_under_their_namespace_and_the_job_that_compose_has() -> None:
    monitor = the("overlays/cpu", "PodMonitor")["spec"]
    (port,) = container(pods("overlays/cpu")["StatefulSet"])["ports"]
    job, _ = scraped_jobs()
    assert DAEMON[monitor["jobLabel"]] == job
    (end,) = monitor["podMetricsEndpoints"]
    assert end["port"] == port["name"]
    assert end["relabelings"] == [named_after(job)]


def scraped_jobs() -> list[str]:
    """The jobs that compose has, of the monitors and of the forwarder."""
    found = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    return [one["job_name"] for one in found if "dns_sd_configs" in one]


def named_after(job: str) -> dict[str, Any]:
    return {"sourceLabels": ["__meta_kubernetes_namespace"], "targetLabel": "job", "replacement": f"$1/{job}"}


def test_the_forwarder_is_scraped_and_may_reach_its_receiver() -> None:
    name, labels = "overlays/forward", DAEMON | {"app.kubernetes.io/component": "forwarder"}
    kinds = ("Deployment", "PodMonitor", "NetworkPolicy")
    found = {kind: [one for one in objects(name, kind) if one["metadata"]["name"] == FORWARDER] for kind in kinds}
    deployment, scraping, policy = (one["spec"] for (one,) in found.values())
    assert deployment["template"]["metadata"]["labels"] == policy["podSelector"]["matchLabels"] == labels
    assert scraping["selector"]["matchLabels"] == deployment["selector"]["matchLabels"] == labels
    assert scraping["podMetricsEndpoints"][0]["relabelings"] == [named_after(scraped_jobs()[1])]
    (port,) = container(pods(name)["Deployment"])["ports"]
    assert port["containerPort"] == Settings.model_fields["forward_http_port"].default
    assert [one["port"] for one in policy["ingress"][0]["ports"]] == [port["containerPort"]]
    url = container(pods(name)["Deployment"])["args"][-1]
    assert int(url.rpartition(":")[2]) in {one["port"] for one in policy["egress"][0]["ports"]}


def test_the_forwarder_writes_its_dead_letters_where_it_may() -> None:
    pod = pods("overlays/forward")["Deployment"]
    (mount,) = container(pod)["volumeMounts"]
    file = environment("overlays/forward", pod)["MONITOR_FORWARD_DEAD_LETTERS"]
    assert file.startswith(f"{mount['mountPath']}/")
    assert pod["volumes"][0]["emptyDir"] == {"sizeLimit": f"{4 * MAX_BYTES // 1024**2}Mi"}


def test_an_own_overlay_changes_every_object() -> None:
    config = environment(OWN, pods(OWN)["StatefulSet"])
    assert environment(OWN, pods(OWN)["Job"]).items() <= config.items()
    assert config["MONITOR_SASL_USERNAME"] == "username"
    assert "example" in config["MONITOR_BOOTSTRAP_SERVERS"]
    assert all(container(pod)["image"].startswith("registry.example.org/") for pod in pods(OWN).values())


def test_every_file_belongs_to_a_kustomization() -> None:
    for path in KUBERNETES.rglob("*.yaml"):
        if path.name != "kustomization.yaml":
            assert path.name in yaml.safe_load((path.parent / "kustomization.yaml").read_text())["resources"], path
