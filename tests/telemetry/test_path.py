"""One path of telemetry: stages return facts, and only `monitor/telemetry` turns them into metrics and health."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MONITOR = Path(__file__).parents[2] / "monitor"
OUTSIDE = sorted(path for path in MONITOR.rglob("*.py") if path.parent.name != "telemetry")
OWNERS = {"metrics", "health", "registry"}


def owner(node: ast.AST) -> str:
    """The last name of `x`, `self.x` or `a.b.x`, without leading underscores."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lstrip("_")
    return ""


def touches(path: Path) -> list[str]:
    """Where a file reads or sets an attribute of metrics or health, or speaks to the metrics library itself."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(value=of, attr=name) if owner(of) in OWNERS:
                found.append(f"line {node.lineno}: {owner(of)}.{name}")
            case ast.ImportFrom(module="prometheus_client"):  # its parser of scrapes is a submodule, which is no matter
                found.append(f"line {node.lineno}: prometheus_client")
            case ast.Import(names=names) if any(one.name == "prometheus_client" for one in names):
                found.append(f"line {node.lineno}: prometheus_client")
    return found


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(MONITOR)))
def test_nothing_outside_telemetry_touches_metrics_or_health(path):
    assert touches(path) == []


def test_the_check_sees_what_it_looks_for(tmp_path):
    file = tmp_path / "loop.py"
    file.write_text("self._line.metrics.beats.inc()\nhealth.joined = True\nimport prometheus_client\n")
    assert len(touches(file)) == 3
