"""Runs monitors as in a deployment: processes of `ecg-monitor run`, observed through their HTTP pages."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.case import Case

LOOK_SECONDS = 0.05
LIMIT_SECONDS = 120.0


def monitor(case: Case, folder: Path, number: int) -> Daemon:
    """A monitor that is not started yet."""
    own = {"OMP_NUM_THREADS": "1", "MONITOR_INSTANCE": f"{case.group}-{number}"}
    log = folder / f"{case.group}-{number}.log"
    return Daemon(case.settings(), Path(case.model), log, **own)


@contextmanager
def monitors(case: Case, folder: Path, count: int) -> Iterator[list[Daemon]]:
    """Start monitors of one group, and wait until they share all partitions evenly."""
    with ExitStack() as stack:
        members = [stack.enter_context(monitor(case, folder, number)) for number in range(count)]
        until(members, lambda: is_shared(members, case.partitions), "the partitions shared")
        yield members


def is_shared(members: Sequence[Daemon], partitions: int) -> bool:
    held = [member.metric("assigned_partitions") for member in members]
    return sum(held) == partitions and min(held) >= partitions // len(members) and all(map(is_ready, members))


def is_ready(member: Daemon) -> bool:
    return member.get("/readyz")[0] == HTTPStatus.OK


def until(members: Sequence[Daemon], done: Callable[[], bool], what: str) -> float:
    """Wait for a condition; return the seconds. Raises RuntimeError if a monitor ends or after the time limit."""
    began = time.perf_counter()
    while not done():
        for member in members:
            if member.process.poll() is not None:
                raise RuntimeError(f"a monitor ended before {what}: {member.log()[-500:]}")
        if time.perf_counter() - began > LIMIT_SECONDS:
            raise RuntimeError(f"not {what} within {LIMIT_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - began


def beats(members: Sequence[Daemon]) -> float:
    return sum(member.metric("beats_total") for member in members)
