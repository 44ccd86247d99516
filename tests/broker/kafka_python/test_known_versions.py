"""A client of which one byte is not known runs wholly on its own code, with one warning."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest.mock import MagicMock

import kafka
import pytest

from monitor.broker import Publisher
from monitor.broker.kafka_python import (
    batches,
    bootstrap,
    config,
    fair_poll,
    known_versions,
    sockets,
    step_bytes,
    transactional,
)
from monitor.records.record import Message
from tests.conftest import REPOSITORY

PACKAGE = Path(kafka.__file__).parent
PUBLIC = {"errors.py", "structs.py", "admin/__init__.py", "coordinator/assignors/cooperative_sticky.py"}
PATCHES = REPOSITORY / "monitor" / "broker" / "kafka_python"

PROGRAM = """
import contextlib, logging, sys
from monitor import log
from monitor.settings import Settings
from monitor.broker import KafkaBroker
from monitor.records.record import Checkpoint, Message
from monitor.broker.kafka_python import fair_poll, known_versions

def refuse():
    raise AssertionError("a patch was applied")

known_versions.require_known = refuse
log.set_up("WARNING", "text")
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
    assert modules - PUBLIC <= set(known_versions.FILES)


@pytest.mark.parametrize("name", ["net/transport.py", "producer/sender.py"])
def test_a_client_that_is_not_known_runs_wholly_on_its_own_code_with_one_warning(make_settings, other_client, name):
    change_one_byte(other_client / name)
    settings = make_settings(partitions=1, kafka_client="kafka-python")
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


def test_no_module_that_imports_internals_of_the_client_is_imported_before_a_patch_is_applied():
    """So that a client that has renamed them runs on its own code, instead of an ImportError."""
    shown = "print(*(name for name in sys.modules if '.kafka_python.' in name))"
    program = f"import sys, monitor.broker.kafka_python.client; {shown}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    loaded = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert not loaded & {"bootstrap", "batches", "sockets"}
    for name in loaded:
        top = ast.parse((PATCHES / f"{name}.py").read_text(encoding="utf-8")).body
        imported = {node.module for node in top if isinstance(node, ast.ImportFrom)}
        files = {
            f"{(one or '').removeprefix('kafka.').replace('.', '/')}.py"
            for one in imported
            if (one or "").startswith("kafka.")
        }
        assert files <= PUBLIC | {"admin.py"}


ENTRANCES = {
    "any batch": batches.read_any_batch,
    "bytes of a poll": lambda: step_bytes.StepBytes(MagicMock(), 1),
    "turns of partitions": lambda: fair_poll.FairPoll(MagicMock(), MagicMock()),
    "a transport": lambda: sockets.patch_transport(MagicMock()),
    "a transport, as the client's manager imports it": lambda: bootstrap.patch_transport(MagicMock()),
    "a TLS socket": lambda: config.close_after_failed_handshakes(MagicMock()),
    "a client": lambda: bootstrap.Client(MagicMock()),
    "a client, as the options name it": lambda: config.make_client(MagicMock()),
    "calls of a transaction": lambda: transactional.Bounded(MagicMock()),
}


@pytest.mark.parametrize("enter", ENTRANCES.values(), ids=ENTRANCES)
def test_every_entrance_of_a_patch_fails_for_a_client_that_is_not_known(monkeypatch, enter):
    monkeypatch.setattr(known_versions, "is_known", lambda: False)
    with pytest.raises(RuntimeError, match="another version"):
        enter()
