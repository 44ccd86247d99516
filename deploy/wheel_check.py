"""Builds the wheel, installs it into empty environments, and runs it there: `python -m deploy.wheel_check`.

Each environment has the wheel with the extra `demo` and what `constraints.txt` pins. A second one has no extra, and
must score without torch. The commands run in a folder outside the checkout, so that they fail when the wheel lacks a
file. By default this Python is used, and the newest
other one on this machine for which every dependency has a wheel; both at the same time, since an installation mostly
waits for the disk and the network.

PyPI's torch for Linux brings three gigabytes of CUDA. So PyTorch's own index is asked as well, where it can be reached:
its CPU build is a tenth of that. Modules are not compiled when they are installed but when they are first used: the
commands here use one in four.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("monitor", "trainer")
SOURCES = ("pyproject.toml", "README.md", "LICENSE")
OLDEST = (3, 11)
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
ANSWER_SECONDS = 5
API = """
import numpy as np
from monitor import load_model
model = load_model("demo/model.safetensors")
beats = np.random.default_rng(0).normal(size=(8, 140)).cumsum(axis=1)
result = model.score(beats)
assert len(result.score) == len(result.p_value) == len(result.abnormal) == len(result.cause) == 8
assert np.isfinite(result.score).all()
print(model)
"""


WITHOUT_TORCH = "import importlib.util; assert importlib.util.find_spec('torch') is None"


class CheckError(Exception):
    """What is wrong with the wheel, as a sentence."""


def build(folder: Path) -> Path:
    """Build the wheel from a copy of the sources: files of an earlier build must not get into it."""
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        shutil.copy(REPOSITORY / name, copy)
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(copy)], folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def expected_files() -> set[str]:
    """The files of the checkout that must be in the wheel."""
    files = (path for name in PACKAGES for path in (REPOSITORY / name).rglob("*") if path.suffix in (".py", ".typed"))
    return {path.relative_to(REPOSITORY).as_posix() for path in files}


def check_content(names: Sequence[str]) -> None:
    """Raise CheckError when the names of the wheel's files are not those of the packages and the metadata."""
    found = {name for name in names if ".dist-info/" not in name}
    missing, foreign = sorted(expected_files() - found), sorted(found - expected_files())
    if missing:
        raise CheckError(f"the wheel lacks {', '.join(missing)}")
    if foreign:
        raise CheckError(f"the wheel holds files that do not belong there: {', '.join(foreign)}")


def other_pythons() -> dict[tuple[int, ...], Path]:
    """The CPythons on PATH and of pyenv that are newer than the oldest we support, by version, the newest first."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    paths = [path for folder in folders for path in folder.glob("python3.*")]
    paths += root.glob("versions/*/bin/python3.*")
    found: dict[tuple[int, ...], Path] = {}
    for path in paths:
        version = version_of(path)
        if version > OLDEST and version != sys.version_info[:2]:
            found.setdefault(version, path)
    return dict(sorted(found.items(), reverse=True))


def version_of(path: Path) -> tuple[int, ...]:
    """The version in a program's name; empty for anything but python3.N, and for a program that does not start."""
    name = re.fullmatch(r"python(3)\.(\d+)", path.name)
    if name is None or subprocess.run([path, "-V"], capture_output=True, check=False).returncode:  # noqa: S603
        return ()
    return tuple(map(int, name.groups()))


def install(python: Path, wheel: str, place: Path) -> Path:
    """Make an environment with the wheel, to which extras may be added; returns the folder of its programs.

    Raises CheckError when something that the wheel needs has no wheel for this Python.
    """
    run([str(python), "-m", "venv", str(place)], place.parent)
    pins = str(REPOSITORY / "constraints.txt")
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--no-compile"]
    run([*pip, *more_indexes(), "-c", pins, wheel], place.parent)
    return place / "bin"


@cache
def more_indexes() -> tuple[str, ...]:
    """PyTorch's index of CPU builds, if it answers: pip would try an index that does not for minutes."""
    try:
        urllib.request.urlopen(f"{CPU_TORCH}/torch/", timeout=ANSWER_SECONDS).close()  # noqa: S310 - our own words
    except (urllib.error.URLError, TimeoutError):
        return ()
    return ("--extra-index-url", CPU_TORCH)


def use(programs: Path, core: Path, data: Path | None, folder: Path) -> None:
    """Run the demo, the command `score` and the Python API. Raises CheckError when one of them fails.

    `core` are the programs of the environment without extras: it scores with the model of the demo.
    """
    for name in ("ecg-monitor", "ecg-trainer"):
        run([str(programs / name), "--version"], folder)
    given = [] if data is None else ["--data", str(data.resolve())]
    run([str(programs / "ecg-monitor"), "demo", *given, "--out", "demo"], folder)
    files = (data or folder / "demo" / "ecg5000").resolve().iterdir()
    beats = next(path for path in sorted(files) if path.name.startswith("ECG5000_TEST"))
    for place in (programs, core):
        run([str(place / "ecg-monitor"), "score", str(beats), "--model", "demo/model.safetensors", "--csv"], folder)
        run([str(place / "python"), "-I", "-c", API], folder)
    run([str(core / "python"), "-I", "-c", WITHOUT_TORCH], folder)


def run(command: list[str], folder: Path) -> None:
    """Run a command in a folder, without this checkout and without any MONITOR_* setting.

    What Python compiles is kept, since most commands here import torch.
    """
    hidden = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "MONITOR_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CheckError(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")


def check(python: Path, wheel: Path, data: Path | None, *, may_skip: bool) -> bool:
    """Install and use the wheel with one Python, in a folder of its own; whether it could be installed.

    With `may_skip`, an installation that fails is reported and is not an error.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.monotonic()
        try:
            programs = install(python, f"{wheel}[demo]", folder / "environment")
            core = install(python, str(wheel), folder / "core")
        except CheckError as error:
            if not may_skip:
                raise
            _print(f"{python}: skipped, the wheel cannot be installed: {str(error).strip().splitlines()[-1]}")
            return False
        installed = time.monotonic()
        use(programs, core, data, folder)
        seconds = time.monotonic() - installed
    _print(f"{python}: demo, score and API work (installed in {installed - start:.0f} s, used in {seconds:.0f} s)")
    return True


def check_others(wheel: Path, data: Path | None) -> None:
    """Check with the newest other Python into which the wheel can be installed."""
    if not any(check(python, wheel, data, may_skip=True) for python in other_pythons().values()):
        _print("no other Python was checked")


def main() -> None:
    """Exit code 0 when the wheel works with every Python that was tried, else 1."""
    parser = argparse.ArgumentParser(prog="python -m deploy.wheel_check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with ECG5000 (default: the demo downloads it)")
    parser.add_argument("--python", type=Path, action="append", help="check with this Python alone; may be repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            wheel = build(Path(name))
            with zipfile.ZipFile(wheel) as archive:
                check_content(archive.namelist())
            _print(f"{wheel.name}: holds every file of {' and '.join(PACKAGES)}, and nothing else")
            with ThreadPoolExecutor() as pool:
                others = [] if options.python else [pool.submit(check_others, wheel, options.data)]
                given = options.python or [Path(sys.executable)]
                checks = [pool.submit(check, python, wheel, options.data, may_skip=False) for python in given]
                for done in (*checks, *others):
                    done.result()
        except CheckError as error:
            _print(str(error))
            sys.exit(1)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
