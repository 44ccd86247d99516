"""The metrics, log lines, pictures and commands in `docs/operations.md` are those of the monitor."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from deploy import reference
from deploy.grafana.dashboard import DASHBOARDS
from monitor.cli import commands
from monitor.settings import PREFIX, Settings
from tests.deploy.files import REPOSITORY

TEXT = reference.PAGE.read_text(encoding="utf-8")
WRITES = {"info": "INFO", "warning": "WARNING", "error": "ERROR", "critical": "CRITICAL"}


def events() -> list[tuple[str, str]]:
    """The table of log lines: line and level."""
    table = TEXT.partition("| line | level |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(.+?)` \| (.+?) \|", table, re.MULTILINE)


@cache
def templates() -> list[tuple[str, str]]:
    """What the monitor's code hands to its loggers above DEBUG, and the level."""
    found = []
    for path in sorted((REPOSITORY / "monitor").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr=word), args=[ast.Constant(value=str(text)), *_]):
                    if word in WRITES:
                        found.append((text, WRITES[word]))
    return found


def matches(line: str, template: str) -> bool:
    pieces = [piece.strip(" :") for piece in line.split("…") if piece.strip(" :")]
    return re.search(".*".join(map(re.escape, pieces)), template) is not None


def test_the_table_of_metrics_is_the_registry() -> None:
    assert reference.page(TEXT) == TEXT, "python -m deploy.reference"


def test_every_metric_that_the_prose_names_is_one_of_them() -> None:
    names = {row.split("`")[1] for row in reference.rows()}
    prose = TEXT.partition(reference.BEGIN)[0]
    named = re.findall(r"`([a-z]+(?:_[a-z]+)*_(?:up|total|seconds|version|healthy|ready))`", prose)
    assert len(named) > 8
    assert {f"ecg_monitor_{name.removeprefix('ecg_monitor_')}" for name in named} <= names


@pytest.mark.parametrize(("line", "level"), events())
def test_every_documented_log_line_is_written(line: str, level: str) -> None:
    if line.startswith("control record"):  # made by `control_message.why_ignored`
        return
    assert any(matches(line, template) and wanted in level for template, wanted in templates())


@pytest.mark.parametrize("template", [text for text, _ in templates() if re.sub(r"%[\w.]+|\W", "", text)])
def test_every_log_line_is_documented(template: str) -> None:
    assert any(matches(line, template) for line, _ in events())


def test_every_setting_that_is_named_is_one() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"MONITOR_[A-Z_]+", TEXT)) <= known


def test_every_command_that_is_named_is_one() -> None:
    for words in re.findall(r"ecg-monitor ([a-z-]+(?: [a-z]+)?)", TEXT.partition("## The log")[0]):
        command = commands
        for word in words.split():
            if hasattr(command, "commands"):
                command = command.commands[word]


def test_both_dashboards_are_shown() -> None:
    for dashboard in DASHBOARDS:
        picture = f"images/dashboard-{dashboard.file.stem}.png"
        assert f"]({picture})" in TEXT
        assert (reference.PAGE.parent / picture).exists()
        for row in dashboard.rows if dashboard.file.stem == "overview" else ():
            assert f"*{row.title}*" in TEXT
