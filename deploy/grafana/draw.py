"""Draws the dashboards as pictures, with the panels in their places and the data of a Prometheus server.

`python -m deploy.grafana.draw --prometheus http://127.0.0.1:9090 --minutes 8 --out FOLDER`, from the repository's
root. It needs matplotlib (extra `trainer`), but not Grafana. For each dashboard it writes the whole page, which is too
large for a document, and an excerpt of a few panels, which is in `docs/images`.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from PIL import Image

from deploy.grafana import plot
from deploy.grafana.annotation import ANNOTATIONS
from deploy.grafana.classic import COLUMNS, placed
from deploy.grafana.dashboard import DASHBOARDS, Dashboard
from deploy.grafana.panel import Panel, PanelRow, Query
from deploy.grafana.plot import CARD, COLORS, FAINT, GRID, INK, PAGE, Mark
from deploy.grafana.prometheus import Prometheus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
COLUMN_PIXELS, LINE_PIXELS, GAP = 72, 36, 8
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 32, 66  # of a plot in its card
PALETTE_COLORS = 256
EXCERPT_WIDTH = 16 * COLUMN_PIXELS  # two panels of the usual width beside each other
EXCERPTS = {
    "overview": (
        ("Monitors up", "Not ready", "Lag", "Longest standstill", "Last records"),
        ("Beats", "Lag in seconds, by partition"),
        ("Dead letters, by reason", "Abnormal beats, share"),
        ("Time by stage", "Alert latency"),
    ),
    "instance": (
        ("Ready", "Healthy", "In its group", "Partitions", "Since the last step"),
        ("Step time", "Time by stage"),
        ("Commits", "Sources restored"),
    ),
}


def draw(dashboard: Dashboard, prometheus: Prometheus, path: Path) -> list[str]:
    """Draw every panel, including those in collapsed rows. Return the titles of the panels without data."""
    rows = _opened(dashboard)
    places = placed(rows)
    lines = max(place["gridPos"]["y"] + place["gridPos"]["h"] for place in places)
    figure = Figure((COLUMNS * COLUMN_PIXELS / DPI, lines * LINE_PIXELS / DPI), dpi=DPI, facecolor=PAGE)
    panels = iter([panel for row in rows for panel in row.panels])
    marks, empty = _marks(prometheus), []
    _legend(figure, lines)
    for place in places:
        if place["type"] == "row":
            _title(figure, place, lines)
            continue
        panel = next(panels)
        if not _panel(_axes(figure, place["gridPos"], lines, panel), panel, prometheus, marks):
            empty.append(panel.title)
    figure.savefig(path, facecolor=PAGE)
    _shrink(path)
    return empty


def _opened(dashboard: Dashboard) -> tuple[PanelRow, ...]:
    """The rows, none of them collapsed."""
    return tuple(PanelRow(row.title, row.panels) for row in dashboard.rows)


def excerpt(dashboard: Dashboard, whole: Path, path: Path) -> None:
    """Cut the panels in EXCERPTS out of the whole picture, and join them row by row."""
    cards = [place for place in placed(_opened(dashboard)) if place["type"] != "row"]
    places = {place.get("title"): place["gridPos"] for place in cards}
    rows = [[places[title] for title in titles] for titles in EXCERPTS[dashboard.file.stem]]
    height = sum(row[0]["h"] for row in rows) * LINE_PIXELS
    with Image.open(whole) as picture:
        found, y = Image.new("RGB", (EXCERPT_WIDTH, height), PAGE), 0
        for row in rows:
            x = 0
            for place in row:
                found.paste(picture.convert("RGB").crop(_box(place)), (x, y))
                x += place["w"] * COLUMN_PIXELS
            y += row[0]["h"] * LINE_PIXELS
    found.save(path)
    _shrink(path)


def _box(place: dict[str, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a panel, in pixels of the whole picture."""
    left, top = place["x"] * COLUMN_PIXELS, place["y"] * LINE_PIXELS
    return left, top, left + place["w"] * COLUMN_PIXELS, top + place["h"] * LINE_PIXELS


def _shrink(path: Path) -> None:
    """Reduce the file to a third: keep the most frequent colours, and replace the others by the nearest of these."""
    with Image.open(path) as picture:
        plain = picture.convert("RGB")
    common = sorted(plain.getcolors(plain.width * plain.height) or [], reverse=True)[:PALETTE_COLORS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, color in common for part in color])  # type: ignore[union-attr]
    plain.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def _marks(prometheus: Prometheus) -> list[Mark]:
    """The start of each annotation within the time range."""
    found = []
    for one in ANNOTATIONS:
        for series in prometheus.ask(Query(one.name, one.expr), is_instant=False):
            times = [value / 1000 for value in series.values] if one.is_time else series.times
            pairs = zip([0.0, *times], times, strict=False)
            begins = [now for before, now in pairs if now - before > 2 * prometheus.step_seconds]
            found += [Mark(now, COLORS[one.color]) for now in begins if prometheus.start <= now <= prometheus.end]
    return found


def _legend(figure: Figure, lines: int) -> None:
    """Draw the colours of the annotations."""
    for place, one in enumerate(reversed(ANNOTATIONS)):
        x, y = 0.91 - 0.09 * place, 1 - 0.6 / lines
        figure.text(x, y, f"┊ {one.name}", color=COLORS[one.color], fontsize=9, va="center")


def _title(figure: Figure, place: dict[str, Any], lines: int) -> None:
    x, y = GAP / (COLUMNS * COLUMN_PIXELS), 1 - (place["gridPos"]["y"] + 0.6) / lines
    figure.text(x, y, f"▾ {place['title']}", color=INK, fontsize=11, weight="bold", va="center")


def _axes(figure: Figure, place: dict[str, int], lines: int, panel: Panel) -> Axes:
    """Draw a card with the panel's title at its place. Return the axes in it."""
    width, height = COLUMNS * COLUMN_PIXELS, lines * LINE_PIXELS
    left, top = place["x"] * COLUMN_PIXELS + GAP / 2, place["y"] * LINE_PIXELS + GAP / 2
    wide, high = place["w"] * COLUMN_PIXELS - GAP, place["h"] * LINE_PIXELS - GAP
    card = figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))
    card.set(facecolor=CARD, xticks=[], yticks=[])
    card.spines[:].set_color(GRID)
    at = {"va": "top", "transform": card.transAxes}
    card.text(8 / wide, 1 - 6 / high, panel.title, color=INK, fontsize=9, weight="bold", **at)
    if panel.kind in ("stat", "text"):
        return card
    bottom, inner = 1 - (top + high - BOTTOM) / height, (wide - LEFT - RIGHT) / width
    axes = figure.add_axes(((left + LEFT) / width, bottom, inner, (high - TOP - BOTTOM) / height))
    axes.set_facecolor(CARD)
    return axes


def _panel(axes: Axes, panel: Panel, prometheus: Prometheus, marks: list[Mark]) -> bool:
    """Draw the panel. Return whether there was data."""
    if panel.kind == "text":
        plot.text(axes, panel)
        return True
    is_now = panel.kind == "stat"
    found = [series for query in panel.queries for series in prometheus.ask(query, is_instant=is_now)]
    if not found:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(is_now)
        axes.text(0.5, 0.45, "No data", color=FAINT, fontsize=9, ha="center", transform=axes.transAxes)
    elif is_now:
        plot.stat(axes, panel, found)
    else:
        plot.over_time(axes, (prometheus.start, prometheus.end), marks)
        if panel.kind == "heatmap":
            plot.heatmap(axes, found)
        else:
            plot.lines(axes, panel, found)
    return bool(found)


def main() -> None:
    """Draw both dashboards, and print which panels are empty."""
    parser = argparse.ArgumentParser(description="Draw the dashboards of a running Prometheus.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address")
    parser.add_argument("--minutes", type=float, default=8, help="how far back")
    parser.add_argument("--end", type=float, default=None, help="seconds since the epoch [default: now]")
    parser.add_argument("--scrape-seconds", type=float, default=5)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    end = time.time() if given.end is None else given.end
    prometheus = Prometheus(given.prometheus, end - 60 * given.minutes, end, given.scrape_seconds)
    for dashboard in DASHBOARDS:
        path = given.out / f"dashboard-{dashboard.file.stem}.png"
        whole = path.with_stem(f"{path.stem}-whole")
        empty = draw(dashboard, prometheus, whole)
        excerpt(dashboard, whole, path)
        print(f"{whole}: nothing to show in {', '.join(empty) or 'no panel'}")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
