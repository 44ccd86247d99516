"""A picture of what each sensitivity costs and finds. matplotlib comes with the extra `trainer`."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING

from monitor.backtest.counting import bootstrap, total
from monitor.errors import RefusedError
from monitor.recordings.folder import is_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.backtest.counting import Counted, Range

SUFFIXES = (".png", ".svg", ".pdf")
HOURS_PER_DAY = 24
MARKERS = "ovs"  # of the sensitivities


def check(path: Path) -> None:
    """Raise RefusedError where no picture can be written: before any work, not after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise RefusedError(f"{path}: a picture is called {', '.join(f'*{suffix}' for suffix in SUFFIXES)}")
    if is_folder(path):
        raise RefusedError(f"{path}: is a folder, where the name of a picture is expected")
    if not is_folder(path.parent):
        raise RefusedError(f"{path}: the folder {path.parent} is missing: make it first")
    if find_spec("matplotlib") is None:
        raise RefusedError(f"{path}: a picture needs the package matplotlib: pip install 'ecg-monitor[trainer]'")


def draw(path: Path, names: Sequence[str], parts: Sequence[Sequence[Counted]]) -> None:
    """Draw false openings per bed and day against the share of runs found, a point for each sensitivity.

    `names`: the sensitivities; `parts`: of each recording with annotations what came of each of them. Raises
    RefusedError where no run can be found, and for a file that cannot be written.
    """
    runs = sum(part[0].runs for part in parts)
    if not runs:
        raise RefusedError(f"{path}: is not drawn: no judged recording has annotated runs of three ventricular beats")
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes half a second, and is not always installed

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for number, (name, marker) in enumerate(zip(names, MARKERS, strict=False)):
        one = [part[number] for part in parts]
        rate = bootstrap(one, lambda part: HOURS_PER_DAY * part.false / part.hours)
        share = bootstrap(one, lambda part: 100 * part.found / part.runs if part.runs else math.nan)
        axes.errorbar(
            rate.value, share.value, yerr=_reach(share), xerr=_reach(rate), elinewidth=0.8, capsize=3,
            fmt=marker, fillstyle="none", markersize=9,
            label=f"{name}: {total(one).found} of {runs} runs at {rate.value:.1f}",
        )  # fmt: skip
    axes.set(xlabel="false openings per bed and day", ylabel="runs of three and more found, %", ylim=(-5, 105))
    axes.set_xlim(left=0)
    axes.set_title(f"{total([part[0] for part in parts]).hours:.1f} h judged; lines: 90 % range over recordings")
    axes.legend()
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror or error}") from error


def _reach(found: Range) -> list[list[float]]:
    """How far a range reaches below its value and above it, as matplotlib takes it."""
    return [[max(0.0, found.value - found.low)], [max(0.0, found.high - found.value)]]
