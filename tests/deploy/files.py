"""Reads the compose file, the instructions of the Dockerfile and the panels of the dashboards for the tests."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
COMPOSE = REPOSITORY / "docker-compose.yml"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"


class Instruction(NamedTuple):
    """One instruction of the Dockerfile, with its stage."""

    stage: str
    word: str
    rest: str


def program(name: str, package: str) -> str:
    """The path of a program. If it is missing, skip the test, or fail it where every program is required, as in CI."""
    found = shutil.which(name)
    if found is None:
        reason = f"needs {name}, of Debian's package {package} for one"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    return str(found)


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def services() -> dict[str, dict[str, Any]]:
    """The services by name, anchors resolved, variables in their default."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return found


def instructions() -> list[Instruction]:
    """The Dockerfile without comments, continued lines joined, of the variant that is built by default."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = text.replace("${VARIANT}", re.findall(r"^ARG VARIANT=(\w+)$", text, flags=re.MULTILINE)[0])
    found, stage = [], ""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        stage = rest.split()[-1] if word == "FROM" else stage
        found.append(Instruction(stage, word, rest))
    return found


def lineage(stage: str) -> list[Instruction]:
    """What a stage consists of, the stages that it is built from first."""
    own = [instruction for instruction in instructions() if instruction.stage == stage]
    origin = own[0].rest.split()[0] if own else ""
    return [*lineage(origin), *own] if own else []


def dashboards() -> list[dict[str, Any]]:
    """The committed dashboards."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels, those of collapsed rows included, without the rows' titles."""
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    inner = [panel for row in rows for panel in row["panels"]]
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"] + inner


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(dashboard) for target in panel.get("targets", [])]
