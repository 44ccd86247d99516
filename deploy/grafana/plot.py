"""Draws one panel on matplotlib's axes, similar to Grafana."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deploy.grafana.unit import written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deploy.grafana.panel import Panel
    from deploy.grafana.prometheus import Series

PAGE, CARD, GRID, INK, FAINT = "#111217", "#181b1f", "#2c3235", "#d8d9da", "#8e8e8e"
COLORS = {"green": "#73bf69", "yellow": "#fade2a", "red": "#f2495c", "purple": "#b877d9", "blue": "#5794f2"}
LINES = [
    *("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2"),
    *("#b877d9", "#705da0", "#37872d", "#fade2a", "#447ebc", "#c15c17"),
]
HEAT = LinearSegmentedColormap.from_list("heat", [CARD, "#7f2704", "#f16913", "#fee6ce"])
MOST_ENTRIES = 8  # of a legend
CHARACTER = 0.85  # pixels a character takes for each point of its size
MAX_FONT, MIN_FONT = 20, 7


class Mark(NamedTuple):
    """An event: its time in seconds since the epoch, and its colour."""

    time: float
    color: str


def text(axes: Axes, panel: Panel) -> None:
    plain = panel.content.replace("*", "").replace("`", "")
    content = "\n".join(textwrap.fill(line, 64) for line in plain.splitlines())
    axes.text(0.02, 0.92, content, color=INK, fontsize=8.5, va="top", transform=axes.transAxes)


def stat(axes: Axes, panel: Panel, found: list[Series]) -> None:
    """Draw one value large, or several below each other."""
    wide = axes.get_window_extent().width - 24
    for number, series in enumerate(found):
        value = series.values[-1]
        color = COLORS.get([step.color for step in panel.steps if step.value is None or value >= step.value][-1], INK)
        shown = series.name if panel.shows_name else written(value, panel.unit)
        y = 0.42 if len(found) == 1 else 0.66 - 0.5 * number / (len(found) - 1)
        size = max(MIN_FONT, min(MAX_FONT if len(found) == 1 else 11, wide / CHARACTER / max(1, len(shown))))
        at = {"va": "center", "transform": axes.transAxes}
        if len(found) == 1 or panel.shows_name:
            axes.text(0.5, y, shown, ha="center", color=color, fontsize=size, **at)
        else:
            axes.text(0.05, y, series.name, ha="left", color=INK, fontsize=8, **at)
            axes.text(0.95, y, shown, ha="right", color=color, fontsize=size, **at)


def over_time(axes: Axes, time_range: tuple[float, float], marks: list[Mark]) -> None:
    """Set up the time axis, and draw the marks."""
    axes.set_xlim(*time_range)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda now, _: f"{datetime.fromtimestamp(now, UTC):%H:%M:%S}"))
    axes.tick_params(colors=FAINT, labelsize=7, length=0)
    axes.spines[:].set_visible(False)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for mark in marks:
        axes.axvline(mark.time, color=mark.color, linewidth=1, linestyle=":", zorder=3)


def lines(axes: Axes, panel: Panel, found: list[Series]) -> None:
    colors = [COLORS["red"] if one.name == "threshold" else LINES[i % len(LINES)] for i, one in enumerate(found)]
    if panel.is_stacked:
        times = sorted({now for series in found for now in series.times})
        columns = [np.interp(times, series.times, np.nan_to_num(series.values)) for series in found]
        axes.stackplot(times, columns, colors=colors, alpha=0.6, labels=[series.name for series in found])
        top = float(np.sum(columns, axis=0).max())
    else:
        for series, color in zip(found, colors, strict=True):
            style = "--" if series.name == "threshold" else "-"
            axes.plot(*_with_gaps(series), color=color, linewidth=1.1, linestyle=style, label=series.name)
        top = max(float(np.nanmax([*series.values, 0.0])) for series in found)
    limit = 1.12 * top or 1.0
    axes.set_ylim(0, limit)
    for step in panel.steps[1:]:
        if step.value is not None and step.value < limit:
            axes.axhline(step.value, color=COLORS[step.color], linewidth=0.9, linestyle="--", zorder=1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, panel.unit)))
    _legend(axes)


def _with_gaps(series: Series) -> tuple[list[float], list[float]]:
    """The points of a line, with a gap where there is no data."""
    steps = np.diff(series.times)
    gaps = np.flatnonzero(steps > 1.5 * steps.min(initial=np.inf)) + 1
    return list(np.insert(series.times, gaps, np.nan)), list(np.insert(series.values, gaps, np.nan))


def _legend(axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    wide = axes.get_window_extent().width + 60
    longest = max(map(len, names))
    columns = max(1, min(4, int(wide / (7 * CHARACTER * longest + 40))))
    most = min(MOST_ENTRIES, 2 * columns)
    if len(names) > most:
        names = [*names[: most - 1], f"… {len(names) - most + 1} more"]
    axes.legend(
        handles[: len(names)],
        names,
        loc="upper left",
        bbox_to_anchor=(-60 / (wide - 60), -0.13),
        ncols=columns,
        fontsize=7,
        frameon=False,
        labelcolor=INK,
        handlelength=1.2,
        columnspacing=1.2,
        labelspacing=0.3,
    )


def heatmap(axes: Axes, found: list[Series]) -> None:
    """Draw cumulative buckets as bands, one per row."""
    ordered = sorted(found, key=lambda series: float(series.name))
    times = np.array(ordered[-1].times)
    columns = np.array([np.interp(times, series.times, series.values) for series in ordered])
    bands = np.diff(np.vstack([np.zeros_like(times), columns]), axis=0).clip(0)
    edges = np.arange(len(ordered) + 1) - 0.5
    axes.pcolormesh([*times, 2 * times[-1] - times[-2]], edges, np.sqrt(bands), cmap=HEAT, rasterized=True, zorder=1)
    axes.set_yticks(range(0, len(ordered), 2), [ordered[place].name for place in range(0, len(ordered), 2)])
    axes.grid(visible=False)
