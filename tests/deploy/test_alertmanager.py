"""Which alert reaches which receiver, and which alert suppresses which, with the shipped configuration."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from monitor.demo.embedded_broker import free_port, stop
from tests.deploy import rulefiles
from tests.deploy.files import DEPLOY, program, read_yaml
from tests.deploy.prometheus import CONFIG as PROMETHEUS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"
PACKAGE = "prometheus-alertmanager"
START_SECONDS = 30.0
ANSWER_SECONDS = 20.0
ROUTED = {(alert.name, alert.fields["labels"]["severity"]) for alert in rulefiles.alerts()}
SEVERITY = {alert.name: alert.fields["labels"]["severity"] for alert in rulefiles.alerts()}
HERE = {"job": "ecg-monitor"}
A, B = HERE | {"instance": "a"}, HERE | {"instance": "b"}


def amtool(*arguments: str) -> str:
    command = [program("amtool", PACKAGE), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_amtool_accepts_the_configuration() -> None:
    amtool("check-config", str(CONFIG))


def test_amtool_accepts_it_with_every_receiver_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^( *)#(?=[a-z]|  )", r"\1", CONFIG.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path = tmp_path / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    amtool("check-config", str(path))
    found = {name for receiver in read_yaml(path)["receivers"] for name in receiver} - {"name"}
    assert found == {"webhook_configs", "pagerduty_configs", "email_configs"}


def test_as_committed_it_has_no_secret_and_no_receiver_address() -> None:
    found = read_yaml(CONFIG)
    assert "global" not in found
    assert all(receiver.keys() == {"name"} for receiver in found["receivers"])
    assert not re.search(r"(password|key|secret|token): ", CONFIG.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "severity"), sorted(ROUTED))
def test_pages_go_to_the_pager_and_warnings_to_the_tickets(name: str, severity: str) -> None:
    heard = amtool("config", "routes", "test", f"--config.file={CONFIG}", f"alertname={name}", f"severity={severity}")
    assert heard.split() == [{"critical": "pager", "warning": "tickets", "none": "watchdog"}[severity]]


def test_inhibition_names_existing_alerts() -> None:
    text = CONFIG.read_text(encoding="utf-8")
    named = set(re.findall(r"EcgMonitor[A-Z]\w+", text))
    for group in re.findall(r"EcgMonitor\((.+?)\)", text):
        named |= {f"EcgMonitor{name}" for name in group.split("|")}
    assert named <= SEVERITY.keys()


def test_prometheus_sends_alerts_to_it() -> None:
    alerting = read_yaml(PROMETHEUS)["alerting"]
    (place,) = [
        target for found in alerting["alertmanagers"] for one in found["static_configs"] for target in one["targets"]
    ]
    assert place == "alertmanager:9093"
    assert alerting["alert_relabel_configs"] == [{"action": "labeldrop", "regex": "runbooks|grafana"}]


class Alertmanager:
    """A server with the shipped configuration."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v2/alerts"

    def silences(self, names: set[str], *alerts: dict[str, str]) -> bool:
        """Post alerts as Prometheus does; whether those of these names are silenced by others, and no more of them.

        It learns of alerts and of what silences them one after the other: what it says is taken when it says it twice.
        """
        body = [
            {"labels": alert | {"severity": alert.get("severity", SEVERITY[alert["alertname"]])}} for alert in alerts
        ]
        request = urllib.request.Request(
            self._url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        urllib.request.urlopen(request, timeout=5).close()
        jobs = {alert["job"] for alert in alerts}
        deadline, pause, agreed = time.monotonic() + ANSWER_SECONDS, threading.Event(), 0
        while agreed < 2 and time.monotonic() < deadline:
            pause.wait(0.1)
            found = [one for one in self._ask() if one["labels"]["job"] in jobs]
            silenced = {one["labels"]["alertname"] for one in found if one["status"]["inhibitedBy"]}
            agreed = agreed + 1 if (silenced, len(found)) == (names, len(alerts)) else 0
        return agreed == 2

    def _ask(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(self._url, timeout=5) as page:
            found: list[dict[str, Any]] = json.load(page)
        return found


@contextmanager
def running(folder: Path) -> Iterator[Alertmanager]:
    url = f"http://127.0.0.1:{free_port()}"
    command = [program("prometheus-alertmanager", PACKAGE), f"--config.file={CONFIG}", f"--storage.path={folder}"]
    command += [f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(f"{url}/-/ready", process)
            yield Alertmanager(url)
        finally:
            stop(process, 10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline, pause = time.monotonic() + START_SECONDS, threading.Event()
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            pause.wait(0.05)
        else:
            return
    raise RuntimeError("Alertmanager did not start")


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with running(tmp_path_factory.mktemp("alertmanager")) as found:
        yield found


def named(name: str, labels: dict[str, str], **more: str) -> dict[str, str]:
    return {"alertname": f"EcgMonitor{name}"} | labels | more


CHAINS = {
    "no broker, and all that follows": (
        (
            named("BrokerUnreachable", HERE),
            named("NoneReady", HERE),
            named("NotReady", A),
            named("Behind", HERE, partition="3"),
            named("NoBeats", HERE),
            named("BrokerFailing", A),
        ),
        {"NoneReady", "NotReady", "Behind", "NoBeats", "BrokerFailing"},
    ),
    "no instance ready, and all down": (
        (named("NoneReady", HERE), named("Down", A), named("Down", B), named("PartitionUnread", HERE, partition="3")),
        {"Down", "PartitionUnread"},
    ),
    "one down, and what was last heard of it": (
        (named("Down", A), named("LoopStuck", A), named("PartitionStuck", A, partition="3")),
        {"LoopStuck", "PartitionStuck"},
    ),
    "one down, and another hangs": ((named("Down", A), named("LoopStuck", B)), set()),
    "one loop hangs, and its partition": (
        (named("LoopStuck", A), named("PartitionStuck", A, partition="3")),
        {"PartitionStuck"},
    ),
    "one restarts again and again": (
        (named("Restarting", A), named("Down", A), named("NotReady", A)),
        {"Down", "NotReady"},
    ),
    "late, and falling back": ((named("Behind", HERE, partition="3"), named("LagGrowing", HERE)), {"LagGrowing"}),
    "no broker, and an alert flood": ((named("BrokerUnreachable", HERE), named("AlertFlood", HERE)), set()),
}


@pytest.mark.parametrize("story", CHAINS)
def test_a_cause_silences_its_consequences_and_nothing_else(alertmanager: Alertmanager, story: str) -> None:
    alerts, silenced = CHAINS[story]
    own_job = [alert | {"job": story} for alert in alerts]
    assert alertmanager.silences({f"EcgMonitor{name}" for name in silenced}, *own_job)


def test_a_page_silences_the_warning_of_its_name(alertmanager: Alertmanager) -> None:
    both = [named("DeadLetterBurst", {"job": "both"}, severity=severity) for severity in ("critical", "warning")]
    assert alertmanager.silences({"EcgMonitorDeadLetterBurst"}, *both)


def test_one_job_silences_no_other(alertmanager: Alertmanager) -> None:
    alerts = named("BrokerUnreachable", {"job": "one"}), named("NoneReady", {"job": "other"})
    assert alertmanager.silences(set(), *alerts)
