"""Resident memory of the monitor over ten million beats: after the first half million, and at the end."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import fleet, machine, output
from bench.environment import BenchInputs, kafka
from bench.topic_load import Load, fill
from tests.chaos.soak import usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from tests.chaos.soak import Usage

MILLION = 1_000_000
WARM = MILLION // 2  # beats after which memory should stay as it is


@click.command("memory")
@click.option("--beats", default=10 * MILLION, show_default=True)
@click.option("--sources", default=1000, show_default=True)
@click.option("--limit", default=400.0, show_default=True, help="The longest time in seconds.")
@click.pass_obj
def command(means: BenchInputs, beats: int, sources: int, limit: float) -> None:
    """Measure whether memory stays constant. The topic takes 600 bytes per beat on disk."""
    machine.use_cores(means.cores)
    described = machine.describe()
    with kafka() as address, tempfile.TemporaryDirectory(prefix="bench-logs-") as folder:
        case = means.case(address, beats, limit)
        case = replace(case, group=f"{case.prefix}.memory")
        taken = fill(case, means.stock, Load(beats, sources))
        click.echo(f"{beats:,} beats published in {taken:.0f} s", err=True)
        with fleet.monitors(case, Path(folder), 1) as (member,):
            usages, end = [usage(member)], time.monotonic() + limit
            while usages[-1].beats < beats and time.monotonic() < end:
                time.sleep(0.5)
                usages.append(usage(member))
    output.picture(means.out / "memory.png", [partial(_draw, usages)])
    output.write(means.out, "memory", {"machine": described, "usages": usages}, table(usages))


def table(usages: Sequence[Usage]) -> str:
    last = usages[-1].beats
    first, end = (
        statistics.median([one.resident_kib for one in usages if low < one.beats <= high] or [0]) / 1024
        for low, high in ((WARM, WARM + MILLION), (last - MILLION, last))
    )
    most = max(one.resident_kib for one in usages) / 1024
    lines = [
        "| beats judged | million after the first half, MiB | last million, MiB | growth | most, MiB |",
        "|---|---|---|---|---|",
        f"| {last:,.0f} | {first:.1f} | {end:.1f} | {end / first - 1:+.1%} | {most:.1f} |",
    ]
    return "\n".join(lines)


def _draw(usages: Sequence[Usage], axes: Axes) -> None:
    resident = [one.resident_kib / 1024 for one in usages]
    axes.plot([one.beats / MILLION for one in usages], resident, color="#c0392b")
    axes.set(xlabel="million beats judged", ylabel="resident MiB", ylim=(0, 1.2 * max(resident)))
    axes.spines[["top", "right"]].set_visible(False)
