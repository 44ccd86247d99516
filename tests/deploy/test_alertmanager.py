"""Which alert reaches which receiver, and which alert suppresses which, with the shipped configuration."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from monitor.alarms.run_rule import PRIORITIES
from tests.deploy import rulefiles
from tests.deploy.alertmanager import CONFIG, PACKAGE, SEVERITY, Alertmanager, running
from tests.deploy.files import program, read_yaml
from tests.deploy.prometheus import CONFIG as PROMETHEUS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUTED = {(alert.name, alert.fields["labels"]["severity"]) for alert in rulefiles.alerts()}
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


@pytest.mark.parametrize("severity", PRIORITIES)
@pytest.mark.parametrize("kind", ["physiological", "technical"])
def test_alarms_of_patients_go_to_the_ward_and_to_nobody_else(kind: str, severity: str) -> None:
    labels = ("alertname=EcgAlarm", f"kind={kind}", f"severity={severity}")
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels).split() == ["ward"]


def test_no_alarm_of_a_patient_silences_another() -> None:
    rules = read_yaml(CONFIG)["inhibit_rules"]
    matchers = [one for rule in rules for one in (*rule["source_matchers"], *rule["target_matchers"])]
    assert all(re.fullmatch(r"alertname =~? \S*EcgMonitor.+|severity = (critical|warning)", one) for one in matchers)
    assert not {"critical", "warning"} & set(PRIORITIES)


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
