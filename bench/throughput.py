"""Measures beats per second of each contender on a full topic: medians, spread, and ratios within one run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from bench import machine, output
from bench.case import BenchResult
from bench.contenders import CONTENDERS, ONLY_LATENCY
from bench.environment import BenchInputs, kafka
from bench.run import RunFailure, in_turn
from bench.topic_load import Load, fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

OURS = "monitor"
NAMES = [name for name in CONTENDERS if name not in ONLY_LATENCY]
FORMS = ("float32", "json")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@click.command("throughput")
@click.option("--beats", default=1_500_000, show_default=True, help="Number of beats in each topic.")
@click.option("--seconds", default=3.0, show_default=True, help="The longest time of a contender in a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--sources", multiple=True, type=int, default=(60, 100_000), show_default=True)
@click.option("--form", "forms", multiple=True, type=click.Choice(FORMS), default=("float32",), show_default=True)
@click.option("--compression", type=click.Choice(CODECS), default="none", show_default=True)
@click.option("--only", "names", multiple=True, type=click.Choice(NAMES), default=NAMES, help="Default: all.")
@click.pass_obj
def command(
    means: BenchInputs, beats: int, forms: Sequence[str], compression: str, sources: Sequence[int], **how: Any
) -> None:
    """Measure the beats per second of every contender on a full topic."""
    machine.use_cores(means.cores)
    described, conditions = machine.describe(), {}
    with kafka() as address:
        for form, count in product(forms, sources):
            load = Load(beats, count, form, compression)
            title = f"{count:,} sources, {form}" + (f", {compression}" if compression != "none" else "")
            conditions[title] = _measure(means, address, load, **how)
    output.picture(
        means.out / "throughput.png", [partial(_draw, condition, found) for condition, found in conditions.items()]
    )
    output.write(means.out, "throughput", {"machine": described, "conditions": conditions}, table(conditions))


def _measure(
    means: BenchInputs, address: str, load: Load, *, seconds: float, rounds: int, names: Sequence[str]
) -> list[BenchRow]:
    case = means.case(address, load.beats, seconds, partitions=load.partitions, form=load.form)
    taken = fill(case, means.stock, load)
    click.echo(f"{load.sources:,} sources: {load.beats:,} beats published in {taken:.1f} s", err=True)
    return rows(in_turn({name: replace(case, options=CONTENDERS[name].options) for name in names}, rounds))


@dataclass(frozen=True, slots=True)
class BenchRow:
    """The results of one contender under one condition."""

    name: str
    results: tuple[BenchResult, ...]
    failures: tuple[str, ...]  # one for each round that failed
    rate: float  # median
    low: float
    high: float
    ratio: float | None = None  # this monitor's median divided by this contender's
    ratio_low: float | None = None  # the lowest and highest ratio of a round
    ratio_high: float | None = None
    cpu_ratio: float | None = None  # its CPU per beat divided by this monitor's; other load hardly changes it

    @property
    def title(self) -> str:
        return CONTENDERS[self.name].title

    @property
    def cpu_us(self) -> float:
        return _cpu_us(self.results)

    @property
    def abnormal_share(self) -> float:
        return sum(one.abnormal for one in self.results) / sum(one.judged for one in self.results)


def rows(found: Mapping[str, Sequence[BenchResult | RunFailure]]) -> list[BenchRow]:
    return [_row(name, outcomes, found.get(OURS, ())) for name, outcomes in found.items()]


def _row(name: str, outcomes: Sequence[BenchResult | RunFailure], ours: Sequence[BenchResult | RunFailure]) -> BenchRow:
    results, ours_alone = (tuple(one for one in those if isinstance(one, BenchResult)) for those in (outcomes, ours))
    failures = tuple(one.reason for one in outcomes if isinstance(one, RunFailure))
    rates = [one.rate for one in results]
    if not results:
        return BenchRow(name, (), failures, 0.0, 0.0, 0.0)
    median = statistics.median(rates)
    spread = median, min(rates), max(rates)
    pairs = zip(ours, outcomes, strict=False)
    ratios = [
        mine.rate / its.rate for mine, its in pairs if isinstance(mine, BenchResult) and isinstance(its, BenchResult)
    ]
    if not ratios:
        return BenchRow(name, results, failures, *spread)
    ratio = statistics.median(one.rate for one in ours_alone) / median
    cpu_ratio = _cpu_us(results) / _cpu_us(ours_alone)
    return BenchRow(name, results, failures, *spread, ratio, min(ratios), max(ratios), cpu_ratio)


def _cpu_us(results: Sequence[BenchResult]) -> float:
    return statistics.median(result.cpu_us for result in results)


def table(conditions: Mapping[str, Sequence[BenchRow]]) -> str:
    """The results as Markdown tables."""
    lines = []
    for condition, found in conditions.items():
        lines += [
            f"**{condition}**",
            "",
            "| contender | thousand beats a second | CPU µs a beat | abnormal | this monitor: rate | CPU |",
            "|---|---|---|---|---|---|",
            *(_line(row) for row in sorted(found, key=lambda row: -row.rate)),
            "",
        ]
    return "\n".join(lines)


def _line(row: BenchRow) -> str:
    failed = f"failed: {row.failures[0].replace('|', '/')[:160]}" if row.failures else ""
    if not row.results:
        return f"| {row.title} | {failed} | | | | |"
    rate = f"**{row.rate / 1000:,.1f}** ({row.low / 1000:,.1f}–{row.high / 1000:,.1f})"
    share = f"{row.abnormal_share:.2%}" if row.abnormal_share else ""
    ratio = cpu = ""
    if row.ratio is not None and row.name != OURS:
        ratio, cpu = f"{row.ratio:.2f} × ({row.ratio_low:.2f}–{row.ratio_high:.2f})", f"{row.cpu_ratio:.2f} ×"
    title = f"{row.title} ({len(row.failures)} rounds {failed})" if failed else row.title
    return f"| {title} | {rate} | {row.cpu_us:.2f} | {share} | {ratio} | {cpu} |"


def _draw(condition: str, found: Sequence[BenchRow], axes: Axes) -> None:
    shown = sorted((row for row in found if row.results), key=lambda row: row.rate)
    places = range(len(shown))
    rates = [row.rate for row in shown]
    errors = [[row.rate - row.low for row in shown], [row.high - row.rate for row in shown]]
    colours = ["#c0392b" if row.name.startswith(OURS) else "#7f8c8d" for row in shown]
    axes.barh(places, rates, xerr=errors, color=colours, ecolor="#2c3e50", capsize=2)
    axes.set_yticks(places, [row.title for row in shown])
    axes.set_xscale("log")
    axes.set_xlabel("beats a second, log scale: median, minimum and maximum")
    axes.set_title(condition)
    for place, row in zip(places, shown, strict=True):
        axes.text(row.high * 1.1, place, f"{row.rate / 1000:,.1f} k", va="center", fontsize=8)
    axes.set_xlim(1000, 3 * max((row.high for row in shown), default=1000))
    axes.spines[["top", "right"]].set_visible(False)
