"""Private parts of the Kafka client are used in one package only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = ROOT / "monitor" / "broker" / "kafka_python"
FOLDERS = ("monitor", "trainer", "bench", "deploy", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if ALLOWED not in path.parents)
OWN = {"self", "cls", "os", "super()"}  # os._exit is public in all but its name
PUBLIC = {"_fields", "_field_defaults", "_replace", "_asdict", "_make"}  # of named tuples
PRIVATE = re.compile(r"_[A-Za-z]\w*")  # neither dunder names nor the message function _


def is_private(name: str) -> bool:
    return PRIVATE.fullmatch(name) is not None and name not in PUBLIC


def private_uses(tree: ast.AST) -> list[str]:
    """Private attributes of foreign objects, private names imported from the client, and either of them as text."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=value, attr=name) if is_private(name) and ast.unparse(value) not in OWN:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "kafka":
                found += [f"{node.lineno}: {module}.{one.name}" for one in names if is_private(one.name)]
            case ast.Call(func=ast.Name(id="getattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]):
                found += [f"{node.lineno}: {name}"] if is_private(name) else []
            case ast.Constant(value=str(text)) if re.fullmatch(r"kafka(\.\w+)*\._\w+", text):
                found.append(f"{node.lineno}: {text}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_file_reaches_into_an_object_of_somebody_else(path):
    text = path.read_text(encoding="utf-8")
    assert private_uses(ast.parse(text)) == []
    assert path == Path(__file__) or "SLF001" not in text


@pytest.mark.parametrize(
    "line",
    [
        "consumer._fetcher.config",
        "getattr(producer, '_sender')",
        "from kafka.net.selector import _Task",
        "patch('kafka.net.transport._sock_recv')",
    ],
)
def test_such_a_use_is_found(line):
    assert private_uses(ast.parse(line))


@pytest.mark.parametrize("line", ["self._sender", "header._fields", "os._exit(1)", "from kafka import KafkaConsumer"])
def test_a_use_of_ones_own_parts_is_not(line):
    assert not private_uses(ast.parse(line))
