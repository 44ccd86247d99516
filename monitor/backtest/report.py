"""The outcome of a backtest: a row for each recording, and the rates of all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.backtest.counting import bootstrap, total
from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.backtest.counting import Counted, Range
    from monitor.backtest.playing import BacktestResult

HEADS = ("hours", "openings", "per hour", "false", "runs found", "of 5+", "longest", "priority", "ectopy")
WIDTHS = tuple(max(8, len(head)) for head in HEADS)


@dataclass(frozen=True, slots=True)
class Totals:
    """All recordings of which some time was judged."""

    recordings: int
    hours: float
    openings: int
    openings_per_hour: Range | None  # None where nothing was judged
    ectopy: int  # openings of frequent ectopy, which count nowhere else
    ectopy_per_hour: float | None
    annotated_recordings: int
    annotated: Counted | None  # what follows is None where no recording has annotations
    false_per_hour: Range | None  # (a)
    false_unchanged_per_hour: Range | None  # (b)


def totals(results: Sequence[BacktestResult]) -> Totals:
    """Rates an hour with the 90 % range of the bootstrap over recordings."""
    parts = [one.counted[0] for one in results if one.counted[0].hours]
    known = [part for part, *_ in annotated(results)]
    every = total(parts)
    ectopy = sum(len(one.ectopy) for one in results if one.counted[0].hours)
    return Totals(
        recordings=len(parts),
        hours=every.hours,
        openings=every.episodes,
        openings_per_hour=bootstrap(parts, lambda one: one.episodes / one.hours) if parts else None,
        ectopy=ectopy,
        ectopy_per_hour=ectopy / every.hours if parts else None,
        annotated_recordings=len(known),
        annotated=total(known) if known else None,
        false_per_hour=bootstrap(known, lambda one: one.false / one.hours) if known else None,
        false_unchanged_per_hour=bootstrap(known, lambda one: one.false_unchanged / one.hours) if known else None,
    )


def annotated(results: Sequence[BacktestResult]) -> list[tuple[Counted, ...]]:
    """The counts of recordings with annotations, of each sensitivity. Those where no time was judged are left out."""
    return [one.counted for one in results if one.is_annotated and one.counted[0].hours]


def head(names: Sequence[str]) -> str:
    """The line above the rows of recordings with these names."""
    return _line(names, "recording", HEADS)


def row(names: Sequence[str], name: str, result: BacktestResult) -> str:
    """The line of one recording."""
    one, known = result.counted[0], ("-", "-", "-")
    rate = f"{one.episodes / one.hours:.2f}" if one.hours else "-"
    if result.is_annotated:
        known = f"{one.false}", f"{one.found} of {one.runs}", f"{one.long_found} of {one.long_runs}"
    longest = "-" if result.longest_seconds is None else f"{result.longest_seconds:.0f} s"
    most = result.priority or "-", f"{len(result.ectopy)}"
    cells = f"{one.hours:.2f}", f"{one.episodes}", rate, *known, longest, *most
    return _line(names, name, cells)


def _line(names: Sequence[str], name: str, cells: Sequence[str]) -> str:
    width = max(map(len, (*names, "recording")))
    return "  ".join([f"{name:<{width}}", *(f"{cell:>{wide}}" for cell, wide in zip(cells, WIDTHS, strict=True))])


def doubt(result: BacktestResult) -> str:
    """Why the figures of a recording say little; empty where nothing speaks against them."""
    if not result.is_learned and not result.counted[0].hours:
        return (
            f"has learned no normal, so nothing was judged: {count_of(result.beats, 'beat')} were found, too few or in "
            "too short a time, or too many of the first ones are of no kind"
        )
    if result.is_sick and math.isnan(result.kept):
        return "was judged by a normal that is in doubt: few first beats agree with it, or many were early and alike"
    if result.is_sick:
        return (
            f"was judged by a normal that is in doubt: of its first beats {result.kept:.0%} agree with it, or many "
            "were early and alike"
        )
    return ""


def summary(results: Sequence[BacktestResult]) -> list[str]:
    """All recordings together, as lines."""
    every = totals(results)
    openings = count_of(every.openings, "opening")
    lines = [f"{every.hours:.2f} h of {count_of(every.recordings, 'recording')} judged, {openings}"]
    if every.openings_per_hour is None:
        return lines
    lines.append(f"openings an hour: {_range(every.openings_per_hour)}")
    apart = count_of(every.ectopy, "opening")
    lines.append(f"frequent ectopy, of low priority and not among these: {apart}, {every.ectopy_per_hour:.2f} an hour")
    if every.annotated is None or every.false_per_hour is None or every.false_unchanged_per_hour is None:
        return [*lines, "no annotations: which openings are false is not known"]
    if every.annotated_recordings < every.recordings:
        lines.append(f"{every.annotated_recordings} of them with annotations, {every.annotated.hours:.2f} h:")
    return [
        *lines,
        f"(a) false openings an hour: {_range(every.false_per_hour)}",
        f"(b) without annotated changes: {_range(every.false_unchanged_per_hour)}",
        *_found(every.annotated),
    ]


def _found(one: Counted) -> list[str]:
    runs = f"{one.found} of {one.runs}; of 5 and more: {one.long_found} of {one.long_runs}"
    return [
        f"time in false alarm: {one.false_seconds / one.hours:.0f} s an hour",
        f"runs of 3 and more found: {runs}; open by beat 3: {one.prompt} of {one.found}",
        f"fibrillation and flutter found: {one.flutters_found} of {one.flutters}; within 10 s: {one.flutters_prompt}",
    ]


def _range(found: Range) -> str:
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"
