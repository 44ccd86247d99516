"""Who may import what: the rules that keep the line straight."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MONITOR = sorted((ROOT / "monitor").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Top-level names that a file imports, lazily or not."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", MONITOR, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_of_the_monitor_imports_only_what_is_its_business(path):
    room = path.relative_to(ROOT / "monitor").parts[0].removesuffix(".py")
    forbidden = {"trainer"}
    if room != "broker":
        forbidden.add("kafka")
    if room not in {"network", "scorer", "waveform", "model"}:
        forbidden.add("torch")
    if room != "demo":
        forbidden |= {"sklearn", "matplotlib"} - ({"matplotlib"} if room == "summary" else set())
    assert not imports(path) & forbidden


@pytest.mark.parametrize("path", MONITOR, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_settings_read_the_environment(path):
    reads = "os.environ" in path.read_text(encoding="utf-8") or "getenv" in path.read_text(encoding="utf-8")
    assert not reads or path.name in {"settings.py", "demo.py"}  # the demo hands its own to the daemon it starts
