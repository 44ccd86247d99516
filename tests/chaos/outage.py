"""The broker is unreachable for minutes. The monitor must survive, and its probes and metrics must be correct."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.chaos import readback
from tests.chaos.deadline import Deadline
from tests.chaos.disturbed_run import compare_groups, tracebacks
from tests.chaos.probe import RECOVER_SECONDS, Probe, changes, delays, judge
from tests.chaos.report import Report
from tests.chaos.testbed import READY_SECONDS, Testbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.members import Member
    from tests.chaos.scenarios import Scenario
    from tests.chaos.testbed import Inputs

BEFORE_SECONDS = 5.0
JUDGE_SECONDS = 300.0


def run_outage(plan: Scenario, seed: int, inputs: Inputs) -> Report:
    """Publish a third of the load before the outage, a third just before the broker stops, and a third afterwards."""
    began, stuck = time.monotonic(), []
    with Testbed(inputs, plan, seed) as stage:
        (member,) = stage.members
        member.start()
        _wait(member, member.is_ready, READY_SECONDS)
        _judge_up_to(stage, plan.beats // 3)
        pid, probe = member.pid, Probe(member)
        lost, back = _interrupt(stage, member)
        try:
            _judge_up_to(stage, plan.beats + plan.bad)
            _wait(member, lambda: probe.samples[-1].ready == 200, RECOVER_SECONDS)
        except TimeoutError as error:  # then the comparison tells what is missing
            stuck.append(str(error))
        probe.close()
        stuck += _end(stage, member, pid, is_stuck=bool(stuck))
        differences, figures = compare_groups(stage)
        faults = (*stuck, *judge(probe.samples, lost, back), *tracebacks(stage))
    figures |= {"outage seconds": back - lost, "probes": len(probe.samples)} | delays(probe.samples, lost, back)
    figures |= {"seconds": time.monotonic() - began}
    return Report("outage", seed, figures, differences, faults, changes(probe.samples, lost))


def _judge_up_to(stage: Testbed, records: int) -> None:
    stage.feeder.allow(records)
    (member,) = stage.members
    _wait(member, lambda: stage.feeder.is_done() and readback.behind(stage.settings) == 0, JUDGE_SECONDS)


def _end(stage: Testbed, member: Member, pid: int, *, is_stuck: bool) -> list[str]:
    """Faults in the way the monitor ends."""
    if is_stuck:
        stage.stop_monitors()
        return []
    is_same, code = member.pid == pid, member.leave()
    return [] if is_same and not code else [f"the monitor did not go on to a clean end: code {code}"]


def _interrupt(stage: Testbed, member: Member) -> tuple[float, float]:
    """Kill the node while there is work, and start it again later. Return the times of stop and start."""
    (node,) = stage.cluster.nodes.values()
    _wait_out(member, BEFORE_SECONDS)
    stage.feeder.allow(2 * stage.plan.beats // 3)
    _wait(member, stage.feeder.is_done, JUDGE_SECONDS)
    node.kill()
    lost = time.monotonic()
    _wait_out(member, stage.plan.outage_seconds)
    back = time.monotonic()
    node.start()
    node.wait_until_up()
    return lost, back


def _wait(member: Member, done: Callable[[], bool], seconds: float) -> None:
    deadline = Deadline(seconds, f"what comes next; last line of the monitor's log: {member.last_line()}")
    while not done():
        if (ended := member.ended()) is not None:
            raise RuntimeError(f"the monitor ended with exit code {ended.code}: {ended.message}")
        deadline.wait(0.5)


def _wait_out(member: Member, seconds: float) -> None:
    pause = Deadline(seconds, "")
    _wait(member, lambda: pause.is_over, seconds + 10)
