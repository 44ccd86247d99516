"""`profile`: how the time of the monitor's main thread is spent."""

from __future__ import annotations

import cProfile
import pstats
from contextlib import suppress
from dataclasses import replace

import click

from bench.case import BenchResult, Meter
from bench.contenders import CONTENDERS
from bench.contenders.pipeline import judge
from bench.environment import BenchInputs, kafka
from bench.topic_load import Load, fill


class _Over(Exception):  # noqa: N818 - not an error: it ends an endless loop
    pass


@click.command("profile")
@click.option("--beats", default=400_000, show_default=True)
@click.option("--sources", default=60, show_default=True)
@click.option("--form", type=click.Choice(["float32", "json"]), default="float32", show_default=True)
@click.option("--contender", type=click.Choice(["monitor", "monitor-alo"]), default="monitor", show_default=True)
@click.option("--lines", default=30, show_default=True, help="Lines of each list to show.")
@click.pass_obj
def command(means: BenchInputs, beats: int, sources: int, form: str, contender: str, lines: int) -> None:
    """Profile this monitor on a full topic: by own time, then by cumulative time."""
    profile = cProfile.Profile()
    with kafka() as address:
        case = means.case(address, beats, 600.0, form=form, options=CONTENDERS[contender].options)
        fill(case, means.stock, Load(beats, sources, form))
        with suppress(_Over):
            profile.runcall(judge, replace(case, group=f"{case.prefix}.profile"), Meter(case, _stop))
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(lines).sort_stats("cumtime").print_stats(lines)


def _stop(result: BenchResult) -> None:
    click.echo(f"{result.rate:,.0f} beats/s under the profiler")
    raise _Over
