"""The broker away for minutes and back: the monitor goes on, and its probes and metrics tell the truth all along."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos import reading
from tests.chaos.clock import Deadline
from tests.chaos.report import Report
from tests.chaos.scenario import compare_groups, tracebacks
from tests.chaos.stage import READY_SECONDS, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.members import Member
    from tests.chaos.plan import Plan
    from tests.chaos.stage import Means

NOTICE_SECONDS = 30.0  # within which the monitor has to know that the broker is away
RECOVER_SECONDS = 60.0  # within which it has to be ready again
BEFORE_SECONDS = 5.0
JUDGE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the monitor said of itself at one moment."""

    at: float
    live: int  # status of /healthz
    ready: int  # status of /readyz
    wrong: str  # what /readyz names, comma separated
    up: float  # ecg_monitor_broker_up


class Probe:
    """Asks a member once a second, on a thread of its own."""

    def __init__(self, member: Member) -> None:
        self.samples: list[Sample] = []
        self._member = member
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        daemon = self._member.daemon
        at, (live, _), (ready, said), up = (
            time.monotonic(),
            daemon.get("/healthz"),
            daemon.get("/readyz"),
            daemon.metric("broker_up"),
        )
        return Sample(at, live, ready, ",".join(json.loads(said)["wrong"]) if said else "no answer", up)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30)


def play_outage(plan: Plan, seed: int, means: Means) -> Report:
    """A third of the load before, a third that lies there when the broker goes, a third when it is back."""
    began = time.monotonic()
    with Stage(means, plan, seed) as stage:
        (member,) = stage.members
        member.start()
        _wait(member, member.is_ready, READY_SECONDS)
        stage.feeder.allow(_records(plan) // 3)
        _wait(member, lambda: stage.feeder.is_done() and reading.behind(stage.settings) == 0, JUDGE_SECONDS)
        pid, probe = member.pid, Probe(member)
        try:
            lost, back = _interrupt(stage, member)
            stage.feeder.allow(_records(plan))
            _wait(member, lambda: stage.feeder.is_done() and reading.behind(stage.settings) == 0, JUDGE_SECONDS)
            _wait(member, lambda: probe.samples[-1].ready == 200, RECOVER_SECONDS)
        finally:
            probe.close()
        faults = [*judge(probe.samples, lost, back)]
        if member.pid != pid or (code := member.leave()):
            faults.append(f"the monitor did not go on to a clean end: code {code}")
        differences, figures = compare_groups(stage)
        faults += tracebacks(stage)
    figures |= {"outage seconds": back - lost, "probes": len(probe.samples)} | delays(probe.samples, lost, back)
    return Report("outage", seed, figures | {"seconds": time.monotonic() - began}, differences, tuple(faults))


def _records(plan: Plan) -> int:
    return plan.beats + plan.bad


def _interrupt(stage: Stage, member: Member) -> tuple[float, float]:
    """Kill the node with work at hand, start it again after the plan's time; when it went and when it was back."""
    (node,) = stage.cluster.nodes.values()
    _wait_out(member, BEFORE_SECONDS)
    stage.feeder.allow(2 * _records(stage.plan) // 3)
    _wait(member, stage.feeder.is_done, JUDGE_SECONDS)
    node.kill()
    lost = time.monotonic()
    _wait_out(member, stage.plan.outage_seconds)
    back = time.monotonic()
    node.start()
    node.wait_until_up()
    return lost, back


def _wait(member: Member, done, seconds: float) -> None:
    deadline = Deadline(seconds, f"what comes next; the monitor said: {member.told()}")
    while not done():
        if (ended := member.ended()) is not None:
            raise RuntimeError(f"the monitor ended with exit code {ended.code}: {ended.said}")
        deadline.wait(0.2)


def _wait_out(member: Member, seconds: float) -> None:
    pause = Deadline(seconds, "")
    _wait(member, lambda: pause.is_over, seconds + 10)


def judge(samples: Sequence[Sample], lost: float, back: float) -> Iterator[str]:
    """Each thing that the monitor said of itself though it was not so."""
    for sample in samples:
        at = f"{sample.at - lost:+.0f} s after the broker went"
        if sample.live != 200:
            yield f"{at}: /healthz said {sample.live}"
        if sample.at < lost - 1 and (sample.ready, sample.up) != (200, 1):
            yield f"{at}: /readyz said {sample.ready} ({sample.wrong}), broker_up {sample.up:g}"
        if lost + NOTICE_SECONDS < sample.at < back - 1:
            if (sample.ready, sample.up) != (503, 0):
                yield f"{at}: /readyz said {sample.ready}, broker_up {sample.up:g}"
            elif "broker" not in sample.wrong:
                yield f"{at}: /readyz named {sample.wrong or 'nothing'}, not the broker"
        if sample.at > back + RECOVER_SECONDS and (sample.ready, sample.up) != (200, 1):
            yield f"{at}: /readyz said {sample.ready} ({sample.wrong}), broker_up {sample.up:g}"


def delays(samples: Sequence[Sample], lost: float, back: float) -> dict[str, float]:
    """Seconds until the monitor said that the broker was away, and that it was back."""
    noticed = [sample.at - lost for sample in samples if lost < sample.at and sample.ready == 503]
    ready = [sample.at - back for sample in samples if sample.at > back and sample.ready == 200]
    missing = float("nan")
    return {"seconds to notice": min(noticed, default=missing), "seconds to recover": min(ready, default=missing)}
