"""The packages of the trainer import each other in one direction only.

Order, lowest first: options, destination, interrupt and progress; data and threshold; fitting; evaluation;
report; commands; cli. `denoiser` stands apart: it uses the top-level modules and the download of `data`, and only its
commands use it. The work of a command is imported when the command runs, so that `--help` starts without torch.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "trainer").rglob("*.py"))
TOP = {"options", "destination", "interrupt", "progress"}
MAY_IMPORT = {
    "__init__": set(),
    **{name: set() for name in TOP},
    "data": TOP,
    "threshold": TOP,
    "fitting": TOP | {"data", "threshold"},
    "evaluation": TOP | {"data", "threshold", "fitting"},
    "report": TOP | {"data", "threshold", "fitting", "evaluation"},
    "denoiser": TOP | {"data"},
    "commands": TOP | {"data", "threshold", "fitting", "evaluation", "report", "denoiser"},
    "cli": TOP | {"commands"},
    "__main__": {"cli"},
}
COMMANDS = {"fetch", "ecg", "calibrate", "evaluate", "denoiser", "denoise"}


def modules(path: Path) -> set[str]:
    """Every module that a file imports: at its top, inside functions, or for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def package(path: Path) -> str:
    return path.relative_to(ROOT / "trainer").parts[0].removesuffix(".py")


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@each_file
def test_a_package_imports_only_packages_below_it(path):
    imported = {name.split(".")[1] for name in modules(path) if name.startswith("trainer.")}
    assert imported <= MAY_IMPORT[package(path)] | {package(path)}


@each_file
def test_no_module_imports_a_kafka_client(path):
    assert not {name.split(".")[0] for name in modules(path)} & {"kafka", "confluent_kafka"}
    assert not {name for name in modules(path) if name.startswith(("monitor.broker", "monitor.pipeline"))}


def test_there_is_one_file_for_each_command():
    files = {path.stem for path in FILES if package(path) == "commands"} - {"__init__"}
    assert files == COMMANDS


@pytest.mark.parametrize("words", ["--help", "fetch --help", "ecg --help", "ecg --surprise"])
def test_help_and_a_wrong_option_start_without_heavy_libraries(words):
    code = (
        "import sys\nfrom trainer.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print('heavy:', {'torch', 'sklearn', 'matplotlib', 'numpy'} & set(sys.modules))\n"
    )
    line = [sys.executable, "-c", code, *words.split()]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: set()"
