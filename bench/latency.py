"""The time from publishing a beat until a reader of committed records sees its alert, at a steady rate."""

from __future__ import annotations

import statistics
import subprocess
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bench import machine, output
from bench.contenders import CONTENDERS
from bench.environment import BenchInputs, kafka
from bench.run import ROOT, RunFailure, environment, python_of
from bench.steady_stream import SteadyStream, Stock, stock
from monitor.broker import TopicPlan, create_topics
from monitor.demo.embedded_broker import stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from bench.case import Case

NAMES = [name for name, contender in CONTENDERS.items() if contender.latency]
OURS = [name for name in NAMES if CONTENDERS[name].module == "pipeline"]
ONE_BEAT = {"episode_open": 1, "episode_window": 1}  # an alert for each abnormal beat, as the other systems send it
RATE = 1000.0
START_SECONDS, SETTLE_SECONDS, LATE_SECONDS = 60.0, 2.0, 2.0


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one contender at one rate in one round."""

    name: str
    rate: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    alerts: int
    missing: int  # alerts that had not arrived two seconds after the last beat
    cpu_share: float  # of one core


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to measure."""

    rate: float
    alarms: float
    seconds: float


@click.command("latency")
@click.option("--seconds", default=10.0, show_default=True, help="Seconds measured in each run.")
@click.option("--rounds", default=2, show_default=True)
@click.option("--alarms", default=20.0, show_default=True, help="Abnormal beats per second.")
@click.option("--only", "names", multiple=True, type=click.Choice(NAMES), default=NAMES, help="Default: all.")
@click.option("--other-rate", "others", multiple=True, type=float, default=(100.0, 10_000.0), show_default=True)
@click.pass_obj
def command(means: BenchInputs, rounds: int, names: Sequence[str], others: Sequence[float], **wish: float) -> None:
    """Measure milliseconds from publishing to alert, at 1,000 beats per second; for this monitor at more rates."""
    machine.use_cores(means.cores)
    described, beats = machine.describe(), stock(means.model, means.stock)
    todo = [(name, RATE) for _ in range(rounds) for name in names]
    todo += [(name, rate) for rate in others for name in OURS if name in names]
    found: list[Run] = []
    failed: dict[str, str] = {}
    with kafka() as address:
        for name, rate in todo:
            if name in failed:
                continue
            one = _measure(name, means.case(address, 10**12, 1e9), beats, RunRequest(rate, **wish))
            click.echo(f"{CONTENDERS[name].title} at {rate:,.0f} beats/s: {_summary(one)}", err=True)
            if isinstance(one, RunFailure):
                failed[name] = one.reason
            else:
                found.append(one)
    output.picture(means.out / "latency.png", [partial(_draw, found)])
    output.write(means.out, "latency", {"machine": described, "runs": found, "failed": failed}, table(found, failed))


def _measure(name: str, case: Case, beats: Stock, wish: RunRequest) -> Run | RunFailure:
    options = CONTENDERS[name].options | (ONE_BEAT if name in OURS else {})
    case = replace(case, group=f"{case.prefix}.{name}", options=options)
    list(create_topics(case.settings(), TopicPlan(case.partitions, 1, 168)))
    command = [python_of(name), "-m", "bench.contender", name]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), text=True, **pipes)
    except FileNotFoundError:
        return RunFailure(f"{command[0]} does not exist: `make bench` creates it")
    try:
        process.stdin.write(case.to_json())
        process.stdin.close()
        with SteadyStream(case, beats, wish.rate, wish.alarms) as pulse:
            return _watch(name, pulse, process, wish)
    finally:
        stop(process, 5)


def _watch(name: str, pulse: SteadyStream, process: subprocess.Popen[str], wish: RunRequest) -> Run | RunFailure:
    deadline = time.monotonic() + START_SECONDS
    while not pulse.seen:
        if process.poll() is not None:
            return RunFailure((process.stderr.read().splitlines() or ["ended"])[-1])
        if time.monotonic() > deadline:
            return RunFailure(f"no alert within {START_SECONDS:.0f} s")
        time.sleep(0.05)
    pulse.at_full_rate()
    time.sleep(SETTLE_SECONDS)
    began, cpu = time.perf_counter(), machine.cpu_seconds(process.pid)
    time.sleep(wish.seconds)
    ended, spent = time.perf_counter(), machine.cpu_seconds(process.pid) - cpu
    time.sleep(LATE_SECONDS)
    asked = {source: at for source, at in list(pulse.sent.items()) if began <= at < ended}
    seen = dict(pulse.seen)
    took = [1000 * (seen[source] - at) for source, at in asked.items() if source in seen]
    if not took:
        return RunFailure("no alert in the time that was measured")
    p50, p99 = (float(np.percentile(took, share)) for share in (50, 99))
    share = spent / (ended - began)
    return Run(name, wish.rate, p50, p99, max(took), len(took), len(asked) - len(took), share)


def _summary(one: Run | RunFailure) -> str:
    if isinstance(one, RunFailure):
        return one.reason
    late = f", {one.missing} MISSING" if one.missing else ""
    return f"p50 {one.p50_ms:.1f} ms, p99 {one.p99_ms:.1f} ms, {one.cpu_share:.0%} of a core{late}"


def _groups(found: Sequence[Run]) -> Iterator[tuple[str, float, list[Run]]]:
    for name, rate in dict.fromkeys((run.name, run.rate) for run in found):
        yield name, rate, [run for run in found if (run.name, run.rate) == (name, rate)]


def table(found: Sequence[Run], failed: dict[str, str]) -> str:
    """The results as Markdown: medians of the rounds, with minimum and maximum in brackets."""
    lines = [
        "| contender | beats a second | p50 ms | p99 ms | worst ms | CPU, of a core | alerts (missing) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rate, runs in _groups(found):
        p50, p99 = (_spread([getattr(run, field) for run in runs]) for field in ("p50_ms", "p99_ms"))
        worst, cpu = max(run.worst_ms for run in runs), statistics.median(run.cpu_share for run in runs)
        alerts, missing = (sum(getattr(run, field) for run in runs) for field in ("alerts", "missing"))
        title = CONTENDERS[name].title
        lines.append(f"| {title} | {rate:,.0f} | {p50} | {p99} | {worst:.0f} | {cpu:.0%} | {alerts} ({missing}) |")
    lines += [f"| {CONTENDERS[name].title} | failed: {reason} | | | | | |" for name, reason in failed.items()]
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"**{statistics.median(values):.1f}** ({min(values):.1f}–{max(values):.1f})"


def _draw(found: Sequence[Run], axes: Axes) -> None:
    shown = list(_groups(found))[::-1]
    titles = [f"{CONTENDERS[name].title}, {rate:,.0f}/s" for name, rate, _ in shown]
    for field, colour, height in (("p99_ms", "#e8b4ae", 0.8), ("p50_ms", "#c0392b", 0.4)):
        values = [statistics.median(getattr(run, field) for run in runs) for _, _, runs in shown]
        axes.barh(range(len(shown)), values, height=height, color=colour, label=field.removesuffix("_ms"))
        if field == "p99_ms":
            for place, value in enumerate(values):
                axes.text(value, place, f" {value:.0f}", va="center", fontsize=8)
    axes.set_yticks(range(len(shown)), titles)
    axes.set_xlabel("ms from produce to readable alert")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
