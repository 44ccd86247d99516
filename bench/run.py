"""Runs contenders in turn, each in a new process. A contender that fails is reported, and the others go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.case import Result
from bench.contender import MARK
from bench.contenders import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.case import Case

ROOT = Path(__file__).parents[1]
APART = ROOT / ".venv-bench" / "bin" / "python"  # made by `make bench`
LIMIT_SECONDS = 60.0  # to start, to join and to read the first batch
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a contender has no figures."""

    reason: str


def python_of(name: str) -> str:
    return str(APART) if CONTENDERS[name].apart else sys.executable


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MONITOR_")}
    return own | ONE_THREAD


def run(name: str, case: Case) -> Result | Failure:
    command = [python_of(name), "-m", "bench.contender", name]
    limit = LIMIT_SECONDS + case.seconds
    kept: dict[str, Any] = {"capture_output": True, "text": True, "cwd": ROOT}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-scratch-") as scratch:  # contenders end without tidying up
            own = environment() | {"TMPDIR": scratch}
            done = subprocess.run(command, check=False, input=case.to_json(), timeout=limit, env=own, **kept)
    except FileNotFoundError:
        return Failure(f"{command[0]} is not there: `make bench` makes it")
    except subprocess.TimeoutExpired:
        return Failure(f"not done within {limit:.0f} s")
    for line in done.stdout.splitlines():
        _, mark, told = line.partition(MARK)  # frameworks may have written to the same line
        if mark:
            return Result(**json.loads(told))
    said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    return Failure(said[-1])


def in_turn(cases: Mapping[str, Case], rounds: int) -> dict[str, list[Result | Failure]]:
    """A B C, A B C, …: what each contender did in each round. Who fails in the first is left out of the others."""
    found: dict[str, list[Result | Failure]] = {name: [] for name in cases}
    for count in range(rounds):
        for name, case in cases.items():
            if found[name] and isinstance(found[name][0], Failure):
                continue
            one = run(name, case.again(name, count))
            found[name].append(one)
            print(f"round {count + 1}: {CONTENDERS[name].title}: {_told(one)}", file=sys.stderr, flush=True)
    return found


def _told(one: Result | Failure) -> str:
    return one.reason if isinstance(one, Failure) else f"{one.rate:,.0f} beats/s, {one.cpu_us:.2f} µs of CPU a beat"
