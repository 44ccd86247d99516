"""Prometheus scrapes every replica, and Grafana is set up for that Prometheus."""

from __future__ import annotations

import subprocess
from typing import Any

from monitor.settings import Settings
from tests.deploy.files import DASHBOARDS, DEPLOY, program, read_yaml, services

CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
PROVISIONING = DEPLOY / "grafana" / "provisioning"


def scrape() -> dict[str, Any]:
    """The one job that scrapes the monitor."""
    (found,) = [job for job in read_yaml(CONFIG)["scrape_configs"] if job["job_name"] == "ecg-monitor"]
    return dict(found)


def datasource() -> dict[str, Any]:
    (found,) = read_yaml(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]
    return dict(found)


def mounts(service: str) -> dict[str, str]:
    return {mount["target"]: mount["source"] for mount in services()[service]["volumes"] if isinstance(mount, dict)}


def test_every_replica_is_scraped_where_the_monitor_serves() -> None:
    (found,) = scrape()["dns_sd_configs"]
    assert found["type"] == "A"
    assert found["names"] == ["monitor"]
    assert found["names"][0] in services()
    assert found["port"] == Settings.model_fields["http_port"].default


def test_every_forwarder_is_scraped_where_it_serves() -> None:
    (found,) = [job for job in read_yaml(CONFIG)["scrape_configs"] if job["job_name"] == "ecg-forwarder"]
    (where,) = found["dns_sd_configs"]
    assert where["names"] == ["forwarder"]
    assert where["names"][0] in services()
    assert where["port"] == Settings.model_fields["forward_http_port"].default
    assert {"sample_limit", "label_limit", "body_size_limit"} <= found.keys()


def test_a_scrape_ends_before_the_next() -> None:
    settings = read_yaml(CONFIG)["global"]
    assert int(settings["scrape_timeout"][:-1]) < int(settings["scrape_interval"][:-1])


def test_a_scrape_is_bounded() -> None:
    assert {"sample_limit", "label_limit", "body_size_limit"} <= scrape().keys()


def test_promtool_accepts_the_configuration() -> None:
    promtool = program("promtool", "prometheus")
    done = subprocess.run([promtool, "check", "config", str(CONFIG)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_grafana_rates_over_the_interval_that_prometheus_scrapes_at() -> None:
    assert datasource()["jsonData"]["timeInterval"] == read_yaml(CONFIG)["global"]["scrape_interval"]


def test_the_data_source_is_fixed_and_reads_our_prometheus() -> None:
    found = datasource()
    assert (found["uid"], found["type"], found["isDefault"], found["editable"]) == (
        "prometheus",
        "prometheus",
        True,
        False,
    )
    port = services()["prometheus"]["ports"][0].rpartition(":")[2]
    assert found["url"] == f"http://prometheus:{port}"


def test_provisioning_files_are_of_version_one() -> None:
    files = sorted(PROVISIONING.glob("*/*.yml"))
    assert len(files) == 2
    assert all(read_yaml(path)["apiVersion"] == 1 for path in files)


def test_dashboards_lie_where_grafana_looks_for_them() -> None:
    (provider,) = read_yaml(PROVISIONING / "dashboards" / "files.yml")["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    path = provider["options"]["path"]
    assert mounts("grafana")[path] == "./deploy/grafana/dashboards"
    home = services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/overview.json"
    assert (DASHBOARDS / "overview.json").exists()


def test_the_configuration_lies_where_prometheus_looks_for_it() -> None:
    assert mounts("prometheus")["/etc/prometheus"] == f"./deploy/{CONFIG.parent.name}"


def test_grafana_has_no_login_with_a_known_password() -> None:
    environment = services()["grafana"]["environment"]
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert not any("PASSWORD" in name for name in environment)
