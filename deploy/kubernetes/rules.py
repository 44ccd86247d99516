"""Writes the rules as a PrometheusRule, for Prometheus' operator: `python -m deploy.kubernetes.rules`."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[1] / "prometheus" / "rules"
FILE = Path(__file__).parent / "components" / "monitoring" / "prometheusrule.yaml"
HEAD = "# Generated from deploy/prometheus/rules by `python -m deploy.kubernetes.rules`: edit the rules there.\n"


def rule_object() -> dict[str, Any]:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "ecg-monitor", "labels": {"app.kubernetes.io/name": "ecg-monitor"}},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


def text() -> str:
    return HEAD + yaml.safe_dump(rule_object(), sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
