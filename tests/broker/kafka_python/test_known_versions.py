"""A client of which one byte is not known runs wholly on its own code, with one warning."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import kafka
import pytest

from monitor.broker import Publisher
from monitor.broker.kafka_python import known_versions
from monitor.records.record import Message
from tests.conftest import REPOSITORY

PACKAGE = Path(kafka.__file__).parent
PATCHES = REPOSITORY / "monitor" / "broker" / "kafka_python"

PROGRAM = """
import contextlib, logging, sys
from _pytest.monkeypatch import MonkeyPatch
from monitor import log
from monitor.settings import Settings
from monitor.broker import KafkaBroker
from monitor.records.record import Checkpoint, Message
from tests.client import ship_client

log.set_up("WARNING", "text")
ship_client(MonkeyPatch())
settings = Settings.model_validate_json(sys.argv[1])
with contextlib.closing(KafkaBroker(settings)) as broker:
    found = 0
    while found < 3:
        found += len(broker.poll())
    broker.deliver(Checkpoint((Message(settings.alerts_topic, b"source", b"alert"),), offsets={0: 3}))
print("delivered", broker.facts().commits)
"""


@pytest.fixture
def other_client(tmp_path):
    """A copy of the client's package."""
    copy = tmp_path / "kafka"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def change_one_byte(path):
    content = path.read_bytes()
    path.write_bytes(content + b"#")


def test_the_client_that_is_pinned_is_known():
    assert known_versions.digest(PACKAGE) in known_versions.KNOWN


@pytest.mark.parametrize("name", known_versions.FILES)
def test_one_byte_in_any_file_makes_it_another_client(other_client, name):
    change_one_byte(other_client / name)
    assert known_versions.digest(other_client) not in known_versions.KNOWN


def test_a_file_that_is_missing_makes_it_another_client(other_client):
    (other_client / known_versions.FILES[0]).unlink()
    assert known_versions.digest(other_client) not in known_versions.KNOWN


def test_every_module_of_the_client_that_the_patches_import_is_among_the_files():
    imported = set()
    for path in PATCHES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kafka."):
                names = (f"{node.module}.{one.name}" for one in node.names)
                imported |= {node.module, *names}
    files = {f"{name.removeprefix('kafka.').replace('.', '/')}.py" for name in imported}
    modules = {name for name in files if (PACKAGE / name).is_file()}
    assert modules - {"errors.py", "structs.py", "protocol/consumer.py"} <= set(known_versions.FILES)


@pytest.mark.parametrize("name", ["net/transport.py", "producer/sender.py"])
def test_a_client_that_is_not_known_runs_wholly_on_its_own_code_with_one_warning(make_settings, other_client, name):
    change_one_byte(other_client / name)
    settings = make_settings(partitions=1)
    with closing(Publisher(settings)) as publisher:
        for _ in range(3):
            publisher.send(Message(settings.beats_topic, b"source", b"beat"))
        publisher.flush()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, settings.model_dump_json()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PYTHONPATH": f"{other_client.parent}{os.pathsep}{REPOSITORY}"},
    )
    assert done.stdout == "delivered 1\n", done.stderr
    assert done.stderr.count("is not known here") == done.stderr.count("\n") == 1
