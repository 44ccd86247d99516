"""Runs contenders in turn, each in a new process. If a contender fails, that is reported and the others continue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.case import BenchResult
from bench.contender import MARK
from bench.contenders import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.case import Case

ROOT = Path(__file__).parents[1]
APART = ROOT / ".venv-bench" / "bin" / "python"  # created by `make bench`
LIMIT_SECONDS = 60.0  # for starting, joining and reading the first batch
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a contender has no figures."""

    reason: str


def python_of(name: str) -> str:
    return str(APART) if CONTENDERS[name].apart else sys.executable


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MONITOR_")}
    return own | ONE_THREAD


def run(name: str, case: Case) -> BenchResult | RunFailure:
    command = [python_of(name), "-m", "bench.contender", name]
    limit = LIMIT_SECONDS + case.seconds
    kept: dict[str, Any] = {"capture_output": True, "text": True, "cwd": ROOT}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-scratch-") as scratch:  # contenders leave their files
            own = environment() | {"TMPDIR": scratch}
            done = subprocess.run(command, check=False, input=case.to_json(), timeout=limit, env=own, **kept)
    except FileNotFoundError:
        return RunFailure(f"{command[0]} does not exist: `make bench` creates it")
    except subprocess.TimeoutExpired:
        return RunFailure(f"not done within {limit:.0f} s")
    for line in done.stdout.splitlines():
        _, mark, result = line.partition(MARK)  # frameworks may have written to the same line
        if mark:
            return BenchResult(**json.loads(result))
    errors = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    return RunFailure(errors[-1])


def in_turn(cases: Mapping[str, Case], rounds: int) -> dict[str, list[BenchResult | RunFailure]]:
    """Run the contenders in the order A B C, A B C, …. Skip a contender in later rounds if it fails in the first."""
    found: dict[str, list[BenchResult | RunFailure]] = {name: [] for name in cases}
    for count in range(rounds):
        for name, case in cases.items():
            if found[name] and isinstance(found[name][0], RunFailure):
                continue
            one = run(name, case.again(name, count))
            found[name].append(one)
            print(f"round {count + 1}: {CONTENDERS[name].title}: {_summary(one)}", file=sys.stderr, flush=True)
    return found


def _summary(one: BenchResult | RunFailure) -> str:
    return one.reason if isinstance(one, RunFailure) else f"{one.rate:,.0f} beats/s, {one.cpu_us:.2f} µs of CPU a beat"
