"""Who may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from monitor.model import artifact
from tests import models

ROOT = Path(__file__).parents[1]
MONITOR = sorted((ROOT / "monitor").rglob("*.py"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Everything in a file. Several tests look at the same files."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> set[str]:
    """Top-level names that a file imports, lazily or not."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


# DESIGN section 2: a package imports only itself and what stands before it
LAYERS = (
    {"errors"},
    {"terminal"},
    {"env_file", "log", "stop_request", "validation"},
    {"settings", "records"},
    {"beats"},
    {"recordings", "model", "deadletters", "profiles"},
    {"alarms"},
    {"api"},  # the public API scores without Kafka: it may know nothing of what comes below
    {"telemetry"},
    {"broker"},
    {"pipeline"},
    {"daemon", "publishing"},
    {"forward", "review"},
    {"backtest"},
    {"demo"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}


def inner_imports(path: Path) -> set[str]:
    """Modules of `monitor` that a file imports, lazily, for types or not."""
    return {name for name in imported_names(path) if name.startswith("monitor.")}


def imported_names(path: Path) -> set[str]:
    """Modules, and names out of modules, that a file imports."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT / "monitor").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MONITOR, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_packages_below_it(path):
    if room(path) == "__init__":
        return
    rank = RANK[room(path)]
    above = {name for name in inner_imports(path) if name.split(".")[1] in RANK and RANK[name.split(".")[1]] > rank}
    beside = {
        name
        for name in inner_imports(path)
        if RANK.get(name.split(".")[1]) == rank and name.split(".")[1] != room(path)
    }
    assert not above | beside


@pytest.mark.parametrize("path", MONITOR, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_the_libraries_it_may(path):
    forbidden = {"trainer"}
    if path.parent != ROOT / "monitor" / "model" / "tensors":
        forbidden.add("torch")
    if room(path) != "demo":
        forbidden.add("sklearn")
    if room(path) not in {"demo", "backtest"}:
        forbidden.add("matplotlib")
    assert not imports(path) & forbidden


def test_the_daemon_scores_a_dense_network_on_a_cpu_without_torch(tmp_path):
    artifact.save(tmp_path / "m.safetensors", models.model())
    code = (
        "import sys, numpy; from pathlib import Path\n"
        "from monitor import daemon; from monitor.commands import run\n"
        "model = daemon.artifact.load(Path('m.safetensors'), 'cpu')\n"
        "daemon.Scorer(model, 'cpu', 8).score(numpy.ones((3, 140), numpy.float32))\n"
        "print('torch' in sys.modules)"
    )
    command, environment = [sys.executable, "-c", code], {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("path", MONITOR, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_settings_read_the_environment(path):
    text = path.read_text(encoding="utf-8")
    reads = "os.environ" in text or "getenv" in text
    assert not reads or room(path) in {"settings", "demo"}  # the demo hands its own to the daemon it starts


def test_no_class_name_stands_twice():
    found: dict[str, list[str]] = {}
    for path in (path for name in ("monitor", "trainer", "bench", "deploy") for path in (ROOT / name).rglob("*.py")):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in found.items() if len(paths) > 1}


@pytest.mark.parametrize("number", ["140", "560"])
def test_the_length_of_a_beat_is_written_once(number):
    """`SAMPLES` and `FLOAT32_BYTES` of `monitor.beats.beat`; nowhere else is the number."""
    paths = [*MONITOR, *(ROOT / "trainer").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    places = {
        str(path.relative_to(ROOT))
        for path in paths
        for node in nodes(path)
        if isinstance(node, ast.Constant) and type(node.value) is int and str(node.value) == number
    }
    assert places <= {"monitor/beats/beat.py"}


def test_no_modules_import_each_other_in_a_circle():
    """A package's `__init__.py` only imports here: who imports a name from it needs the module that defines it."""
    files = (*MONITOR, *(ROOT / "trainer").rglob("*.py"))
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    edges = {
        name: {known for found in imported_names(path) for known in (found, found.rpartition(".")[0]) if known in names}
        for name, path in names.items()
    }
    while edges:
        leaves = {name for name, used in edges.items() if not used & set(edges)}
        assert leaves, f"a circle among {sorted(edges)}"
        edges = {name: used for name, used in edges.items() if name not in leaves}


BROKER = ROOT / "monitor" / "broker"
CLIENTS = {"kafka_python": "kafka", "confluent": "confluent_kafka"}
OF_CLIENTS = sorted(path for folder in CLIENTS for path in (BROKER / folder).glob("*.py"))


@pytest.mark.parametrize("path", OF_CLIENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_implementation_of_a_client_knows_neither_its_users_nor_the_other_one(path):
    packages = {name.split(".")[2] for name in inner_imports(path) if name.startswith("monitor.broker.")}
    own = path.parent.name
    assert packages <= {own, "client", "blocks", "connection", "limits", "retry"}
    assert not imports(path) & ({*CLIENTS.values()} - {CLIENTS[own]})


@pytest.mark.parametrize(
    "path", [path for path in MONITOR if path not in OF_CLIENTS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_nothing_else_imports_a_kafka_library(path):
    assert not imports(path) & {*CLIENTS.values()}


TESTS = ROOT / "tests"
ACROSS_PACKAGES = {"contract", "e2e", "chaos", "deploy", "bench"}  # folders of tests that belong to no one module
WITHOUT_A_MODULE = {
    "profiles/test_sources_after_a_kill.py": "rows, offsets and beats that are read again: that a kill changes nothing",
    "commands/test_help.py": "the help texts of all commands",
    "telemetry/test_path.py": "that telemetry alone touches metrics and health, in all modules",
    "trainer/test_architecture.py": "who may import what in `trainer`",
    "trainer/commands/test_recordings.py": "`ecg`, `evaluate` and `calibrate` on recordings",
    "backtest/test_same_as_the_loop.py": "that the loop raises the alarms of a backtest, on recordings",
    "pipeline/test_acknowledgements.py": "the loop with acknowledgements: kills, replays, members that were put out",
    "pipeline/test_latching.py": "the loop with latched alarms and reminders: kills, replays, any commands",
    "pipeline/test_no_signal.py": "the loop with sources that stop: batches, kills, ends, settings",
    "pipeline/test_pausing.py": "the loop with pauses: what is held back, and announced when they end",
    "pipeline/test_profiles.py": "the loop with profiles: kills, batches, rules, resets",
    "pipeline/test_profiles_of_members.py": "two members with profiles: rebalances, rewinds and failures",
    "pipeline/test_hostile_input.py": "records, rows and control messages made by an attacker, against the whole loop",
    "model/test_hostile_files.py": "model files made by an attacker, against the artifact and everything that reads it",
}


def module_of(path: Path) -> Path:
    """The module that a test file is named after: tests/beats/test_parse.py is about monitor/beats/parse.py."""
    parts = path.relative_to(TESTS).parts
    package = ROOT if parts[0] == "trainer" else ROOT / "monitor"
    return package.joinpath(*parts[:-1], parts[-1].removeprefix("test_"))


def test_tests_lie_where_their_modules_lie():
    inside = [path for path in TESTS.rglob("test_*.py") if path.relative_to(TESTS).parts[0] not in ACROSS_PACKAGES]
    named = {str(path.relative_to(TESTS)): module_of(path) for path in inside if path.parent != TESTS}
    assert {name for name, module in named.items() if not module.is_file()} == WITHOUT_A_MODULE.keys()
