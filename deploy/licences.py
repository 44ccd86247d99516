"""Lists the licences of the packages in `constraints.txt`: `python -m deploy.licences` writes docs/licences.md.

It reads the metadata of the installed packages, so the development extras must be installed.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
FILE = REPOSITORY / "docs" / "licences.md"
PROJECT = "ecg-monitor"
HEAD = """# Licences

What the images carry beside our own code, which is under Apache-2.0, and what it is built and tested with. Each
package's own words, as installed at the versions of `constraints.txt`, written here by `python -m deploy.licences`.

CUDA's libraries, in the CUDA variants alone, are under NVIDIA's licence. Python's and Debian's own, in the base image,
are listed by its SBOM.
"""
SILENT = {"pysimdjson": "MIT"}  # from its licence text, because its metadata have no licence
GROUPS = {
    "daemon": "In the daemon's image",
    "gpu": "In the daemon's image for CUDA and in the trainer's as well",
    "trainer": "In the trainer's image as well",
    "tools": "In no image: the embedded broker of `make demo`, linters, tests",
}


def pinned() -> set[str]:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """The dependencies of a package on this machine, direct and indirect."""
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    found = set()
    for requirement in map(Requirement, requires(name) or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            other = canonicalize_name(requirement.name)
            found |= {other} | needed(other, frozenset(requirement.extras), seen)
    return found - {PROJECT}


def groups() -> dict[str, set[str]]:
    """The pinned packages by the image that contains them. The other systems of `make bench` are not listed."""
    extras = {"daemon": ("fast",), "gpu": ("gpu",), "trainer": ("trainer",), "tools": ("embedded", "dev")}
    found: dict[str, set[str]] = {}
    for group, names in extras.items():
        found[group] = (needed(PROJECT, frozenset(names), set()) & pinned()).difference(*found.values())
    return found


@cache
def licences() -> dict[str, str]:
    """The licence of each pinned package, from its metadata."""
    command = [str(Path(sys.executable).parent / "pip-licenses"), "--from=mixed", "--format=json", "--with-system"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603 - our own words
    named = {canonicalize_name(one["Name"]): one["License"] for one in found} | SILENT
    return {name: named[name] for name in sorted(set().union(*groups().values()))}


def text() -> str:
    licence_of, parts = licences(), [HEAD]
    for group, names in groups().items():
        rows = "".join(f"| {name} | {licence_of[name]} |\n" for name in sorted(names))
        parts.append(f"## {GROUPS[group]}\n\n| package | licence |\n|---|---|\n{rows}")
    return "\n".join(parts)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
