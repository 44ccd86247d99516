"""Full speed for minutes: memory, file descriptors and threads of the monitor must not grow."""

from __future__ import annotations

import itertools
import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from tests.chaos import readback
from tests.chaos.deadline import Deadline
from tests.chaos.disturbed_run import tracebacks
from tests.chaos.report import Report
from tests.chaos.testbed import READY_SECONDS, Testbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.members import Member
    from tests.chaos.scenarios import Scenario
    from tests.chaos.testbed import Inputs
    from tests.e2e.daemon import Daemon

WARM_UP_SHARE = 0.2
SAMPLE_SECONDS = 2.0
AHEAD = 100_000  # records that the load may be ahead of the monitor
GROWTH_LIMIT = 0.02
KEPT = {"retention.bytes": str(256 * 1024 * 1024), "segment.bytes": str(64 * 1024 * 1024)}


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources of one process at one time."""

    at: float
    resident_kib: int
    descriptors: int
    threads: int
    beats: float
    lag: float


def run_soak(plan: Scenario, seed: int, inputs: Inputs, seconds: float) -> Report:
    with Testbed(inputs, plan, seed) as stage:
        _keep_little(stage)
        (member,) = stage.members
        stage.feeder.allow(AHEAD)
        member.start()
        deadline = Deadline(READY_SECONDS, "the monitor ready")
        while not member.is_ready():
            deadline.wait(0.2)
        usages = _watch(stage, member, seconds)
        code = member.leave()
        faults = [*judge(usages), *tracebacks(stage), *([f"exit code {code}"] if code else [])]
        figures = figures_of(usages) | {
            "records sent": stage.feeder.sent,
            "left behind": readback.behind(stage.settings),
        }
    return Report("soak", seed, figures, faults=tuple(faults))


def _keep_little(stage: Testbed) -> None:
    """Topics with a small retention, so that they do not fill the disk. The monitor is never far behind."""
    names = (stage.settings.beats_topic, stage.settings.scores_topic, stage.settings.alerts_topic)
    with closing(KafkaAdminClient(bootstrap_servers=stage.settings.bootstrap_servers.split(","))) as admin:
        admin.alter_configs([ConfigResource("TOPIC", name, KEPT) for name in names])


def _watch(stage: Testbed, member: Member, seconds: float) -> list[Usage]:
    usages: list[Usage] = []
    end = Deadline(seconds, "")
    while not end.is_over:
        usages.append(usage(member.daemon))
        stage.feeder.is_done()
        stage.feeder.allow(int(usages[-1].beats) + AHEAD)
        if (ended := member.ended()) is not None:
            raise RuntimeError(f"the monitor ended with exit code {ended.code}: {ended.message}")
        end.wait(min(SAMPLE_SECONDS, max(0.0, seconds - end.passed)))
    return usages


def usage(daemon: Daemon) -> Usage:
    pid = daemon.process.pid
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    resident, threads = int(status["VmRSS"].split()[0]), int(status["Threads"])
    beats, lag = daemon.metric("beats_total"), daemon.metric("lag_records")
    return Usage(time.monotonic(), resident, descriptors, threads, beats, lag)


def judge(usages: Sequence[Usage]) -> list[str]:
    """What grew after the warm-up: compares the medians of the first and the last fifth."""
    _, first, last = _parts(usages)
    faults = []
    if (grown := _growth(usages)) > GROWTH_LIMIT:
        faults.append(f"resident memory grew by {grown:.1%} after warm-up")
    for what in ("descriptors", "threads"):
        before, after = (statistics.median(getattr(one, what) for one in part) for part in (first, last))
        if after > before:
            faults.append(f"{what} grew from {before:g} to {after:g}")
    return faults


def _parts(usages: Sequence[Usage]) -> tuple[Sequence[Usage], Sequence[Usage], Sequence[Usage]]:
    """The samples after the warm-up: all, the first fifth, the last fifth."""
    warm = usages[int(len(usages) * WARM_UP_SHARE) :]
    fifth = max(1, len(warm) // 5)
    return warm, warm[:fifth], warm[-fifth:]


def _growth(usages: Sequence[Usage]) -> float:
    _, first, last = _parts(usages)
    before, after = (statistics.median(one.resident_kib for one in part) for part in (first, last))
    return after / before - 1


def figures_of(usages: Sequence[Usage]) -> dict[str, object]:
    warm, _, _ = _parts(usages)
    seconds = warm[-1].at - warm[0].at
    spread = {
        what: f"{min(values):g} to {max(values):g}"
        for what in ("descriptors", "threads", "lag")
        if (values := [getattr(one, what) for one in warm])
    }
    return {
        "seconds": usages[-1].at - usages[0].at,
        "beats": int(usages[-1].beats),
        "beats a second": (warm[-1].beats - warm[0].beats) / seconds,
        "resident MiB": f"{warm[0].resident_kib / 1024:.1f} to {warm[-1].resident_kib / 1024:.1f}",
        "growth": f"{_growth(usages):.2%}",
        "each half minute": [round(one.resident_kib / 1024, 1) for one in itertools.islice(usages, 0, None, 15)],
    } | spread
