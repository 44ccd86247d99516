"""How throughput and takeover time change with the number of processes, partitions and open episodes."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import fleet, machine, output
from bench.environment import BenchInputs, kafka
from bench.steady_stream import stock
from bench.topic_load import PARTITIONS, Load, held_back, make_topics, producer
from monitor.beats.stream import source_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bench.case import Case
    from tests.e2e.daemon import Daemon

ALL_CORES = os.cpu_count() or 1
EDGE = 0.1  # share of the backlog at its beginning and its end that is not measured


@dataclass(frozen=True, slots=True)
class Drain:
    """The result for one backlog and a number of processes of one group."""

    processes: int
    partitions: int
    beats: int
    seconds: float  # from the time the backlog can be read until its last beat is scored
    rate: float  # beats per second between the first and the last tenth
    cpu_us: float  # per beat, all monitors together, over the whole backlog
    broker_cpu_us: float | None  # per beat; None if the bench did not start the broker


@dataclass(frozen=True, slots=True)
class Takeover:
    """Times when a second monitor joins a first one, and when the first one then leaves."""

    sources: int  # that have episode state
    partitions: int
    start_seconds: float  # of the first: from the start of the process to ready, without state to restore
    join_seconds: float  # from the start of the second until both are ready with half of the partitions each
    leave_seconds: float  # from SIGTERM to the first until the second serves all partitions


@click.command("scale")
@click.option("--beats", default=2_000_000, show_default=True, help="Size of the backlog that the processes share.")
@click.option("--processes", multiple=True, default=(1, 2, 4), show_default=True)
@click.option(
    "--sources",
    multiple=True,
    default=(10, 1000, 100_000),
    show_default=True,
    help="Sources with state.",
)
@click.option("--partitions", multiple=True, default=(4, 64, 256), show_default=True)
@click.pass_obj
def command(
    means: BenchInputs, beats: int, processes: Sequence[int], sources: Sequence[int], partitions: Sequence[int]
) -> None:
    """Measure the rate with 1, 2 and 4 processes, and the time to take over partitions."""
    described = machine.describe()
    with kafka() as address, tempfile.TemporaryDirectory(prefix="bench-logs-") as folder:
        drains = [_drain(means, address, Path(folder), beats, count) for count in processes]
        takeovers = [
            _takeover(means, means.case(address, 1, 1.0, partitions=count), Path(folder), number)
            for number in sources
            for count in partitions
        ]
    output.picture(means.out / "scale.png", [partial(_draw_drains, drains), partial(_draw_takeovers, takeovers)])
    found = {"machine": described, "drains": drains, "takeovers": takeovers}
    output.write(means.out, "scale", found, f"{drain_table(drains)}\n\n{takeover_table(takeovers)}")


def _drain(means: BenchInputs, address: str, folder: Path, beats: int, processes: int) -> Drain:
    load = Load(beats, 1000, partitions=max(PARTITIONS, processes))
    case = means.case(address, beats, 1.0, partitions=load.partitions)
    case = replace(case, group=f"{case.prefix}.drain")
    make_topics(case, load.partitions)
    with held_back(case, means.stock, load) as release, fleet.monitors(case, folder, processes) as members:
        pids, broker = [member.process.pid for member in members], machine.child("java")
        owed = _cpu_seconds(pids), _cpu_seconds([broker] if broker else [])
        release()
        looks = _watch(members, beats)
        cpu_us, broker_cpu_us = (
            1e6 * (_cpu_seconds(those) - before) / beats
            for those, before in zip((pids, [broker] if broker else []), owed, strict=True)
        )
    within = [look for look in looks if EDGE * beats <= look[1] <= (1 - EDGE) * beats]
    first, last = (within[0], within[-1]) if len(within) > 1 else (looks[0], looks[-1])
    rate = (last[1] - first[1]) / (last[0] - first[0])
    click.echo(f"{processes} processes: {beats:,} beats in {looks[-1][0]:.1f} s, {rate:,.0f} beats/s", err=True)
    return Drain(processes, load.partitions, beats, looks[-1][0], rate, cpu_us, broker_cpu_us if broker else None)


def _watch(members: Sequence[Daemon], beats: int) -> list[tuple[float, float]]:
    """Wait until all beats are scored. Return pairs of seconds and beats scored by then."""
    began, looks = time.perf_counter(), [(0.0, 0.0)]
    while looks[-1][1] < beats:
        time.sleep(4 * fleet.LOOK_SECONDS)
        looks.append((time.perf_counter() - began, fleet.beats(members)))
        if looks[-1][0] > fleet.LIMIT_SECONDS:
            raise RuntimeError(f"{looks[-1][1]:,.0f} of {beats:,} beats after {fleet.LIMIT_SECONDS:.0f} s")
    return looks


def _cpu_seconds(pids: Sequence[int]) -> float:
    return sum(map(machine.cpu_seconds, pids))


def _takeover(means: BenchInputs, case: Case, folder: Path, sources: int) -> Takeover:
    case = replace(case, group=f"{case.prefix}.takeover")
    make_topics(case, case.partitions)
    with ExitStack() as stack:
        began = time.perf_counter()
        first = stack.enter_context(fleet.monitor(case, folder, 0))
        fleet.until([first], lambda: fleet.is_shared([first], case.partitions), "the first is ready")
        started = time.perf_counter() - began
        _send_abnormal_beats(means, case, sources)
        fleet.until([first], lambda: fleet.beats([first]) == sources, "the abnormal beats are scored")
        began = time.perf_counter()
        second = stack.enter_context(fleet.monitor(case, folder, 1))
        fleet.until([second], lambda: fleet.is_shared([first, second], case.partitions), "the partitions shared")
        joined, began = time.perf_counter() - began, time.perf_counter()
        first.process.terminate()
        fleet.until([second], lambda: fleet.is_shared([second], case.partitions), "all partitions taken over")
        left = time.perf_counter() - began
    found = Takeover(sources, case.partitions, started, joined, left)
    click.echo(
        f"{sources:,} sources with state, {case.partitions} partitions: {started:.1f} s to start, ", nl=False, err=True
    )
    click.echo(f"{joined:.1f} s to join, {left:.2f} s to take over", err=True)
    return found


def _send_abnormal_beats(means: BenchInputs, case: Case, sources: int) -> None:
    """Send one abnormal beat per source. The monitor keeps state for the source, but opens no alert yet."""
    loud = stock(means.model, means.stock).loud
    sender = producer(case, Load(sources, sources))
    for count in range(sources):
        sender.produce(case.beats_topic, loud[count % len(loud)], source_name(count))
        if count % 1000 == 0:
            sender.poll(0)
    sender.flush(60)


def drain_table(drains: Sequence[Drain]) -> str:
    lines = [
        "| processes | backlog | seconds | thousand beats a second | to one process | CPU µs a beat | broker's |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in drains:
        ratio = f"{one.rate / drains[0].rate:.2f} ×"
        rate = f"**{one.rate / 1000:,.1f}**"
        cpu = f"{one.cpu_us:.2f} | " + ("" if one.broker_cpu_us is None else f"{one.broker_cpu_us:.2f}")
        lines.append(f"| {one.processes} | {one.beats:,} | {one.seconds:.1f} | {rate} | {ratio} | {cpu} |")
    return "\n".join(lines)


def takeover_table(takeovers: Sequence[Takeover]) -> str:
    lines = [
        "| sources with state | partitions | first ready, s | second has half, s | second has all, s |",
        "|---|---|---|---|---|",
    ]
    for one in takeovers:
        times = f"{one.start_seconds:.1f} | {one.join_seconds:.1f} | **{one.leave_seconds:.2f}**"
        lines.append(f"| {one.sources:,} | {one.partitions} | {times} |")
    return "\n".join(lines)


def _draw_drains(drains: Sequence[Drain], axes: Axes) -> None:
    counts, rates = [one.processes for one in drains], [one.rate / 1000 for one in drains]
    axes.plot(counts, rates, "o-", color="#c0392b", label="measured")
    axes.plot(counts, [rates[0] * count for count in counts], ":", color="#7f8c8d", label="in proportion")
    axes.set(xlabel="processes", ylabel="thousand beats a second", xticks=counts, ylim=(0, None))
    axes.set_title(f"One backlog shared ({ALL_CORES} cores, broker included)")
    axes.legend()


def _draw_takeovers(takeovers: Sequence[Takeover], axes: Axes) -> None:
    for partitions in dict.fromkeys(one.partitions for one in takeovers):
        those = [one for one in takeovers if one.partitions == partitions]
        axes.plot(
            [one.sources for one in those], [one.leave_seconds for one in those], "o-", label=f"{partitions} partitions"
        )
    axes.set(xscale="log", xlabel="sources with episode state", ylabel="seconds", ylim=(0, None))
    axes.set_title("A monitor leaves: time until the other one serves all partitions")
    axes.legend()
