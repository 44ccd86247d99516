"""Reads the rule files, and writes a copy of them with shorter durations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from prometheus_client import CollectorRegistry

from monitor.telemetry.forward_recorder import ForwardMetrics
from monitor.telemetry.metrics import Metrics
from tests.deploy.files import DEPLOY, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

RULES = DEPLOY / "prometheus" / "rules"
FOREIGN = {"up", "process_start_time_seconds"}  # Prometheus' own, and the client library's
SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
WATCHDOG = "EcgMonitorWatchdog"


class Rule(NamedTuple):
    """A rule of a rule file."""

    name: str
    expr: str
    fields: dict[str, Any]

    @property
    def is_alert(self) -> bool:
        return "alert" in self.fields

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.fields["annotations"]
        return found


def files() -> list[Path]:
    return sorted(RULES.glob("*.yml"))


def rules() -> list[Rule]:
    groups = [group for path in files() for group in read_yaml(path)["groups"]]
    found = [rule for group in groups for rule in group["rules"]]
    return [Rule(rule.get("alert") or rule["record"], rule["expr"], rule) for rule in found]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.is_alert]


def recorded() -> set[str]:
    return {rule.name for rule in rules() if not rule.is_alert}


def exported() -> set[str]:
    """The names of all series that a monitor and a forwarder can show."""
    families = [
        *Metrics(CollectorRegistry()).registry.collect(),
        *ForwardMetrics(CollectorRegistry()).registry.collect(),
    ]
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def metrics_in(expr: str) -> set[str]:
    """Metrics and recorded series of an expression: the words that are not functions, labels or keywords."""
    return set(re.findall(r"\b(?:job:)?ecg_monitor_[\w:]+", re.sub(r'"[^"]*"', "", expr))) | (
        FOREIGN & set(re.findall(r"\w+", expr))
    )


def speed_up(folder: Path, factor: int, special: dict[str, int]) -> None:
    """Copies of the rule files in which every `for`, range, offset and age is `factor` times as short.

    Only time changes: shares, counts and lags stay as they are. `special`: rules with a factor of their own.
    """
    for path in files():
        content = read_yaml(path)
        for rule in (rule for group in content["groups"] for rule in group["rules"]):
            _hurry(rule, special.get(rule.get("alert") or rule["record"], factor))
        (folder / path.name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _hurry(rule: dict[str, Any], factor: int) -> None:
    def shorter(found: re.Match[str]) -> str:
        return f"{found[1]}{int(1000 * int(found[2]) * SECONDS[found[3]] / factor)}ms"

    def younger(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) / factor}"

    rule["expr"] = re.sub(r"(\[|offset )(\d+)([smhd])", shorter, rule["expr"])
    rule["expr"] = re.sub(r"(time\(\) - .*?[<>] )([1-9]\d*)", younger, rule["expr"])
    for name in {"for", "keep_firing_for"} & rule.keys():
        rule[name] = re.sub(r"()(\d+)([smhd])", shorter, rule[name])
