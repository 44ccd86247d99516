"""A panel: its queries, unit and colours. `classic` converts it to Grafana's JSON."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Query(NamedTuple):
    """One PromQL expression, and the legend of its lines."""

    legend: str
    expr: str


class ThresholdStep(NamedTuple):
    """A colour that applies from a value upwards."""

    value: float | None  # None: from the beginning
    color: str


BEGINNING = None
INSTANCE = "{{instance}}"  # the name of a line that leads to that instance
PLAIN = (ThresholdStep(BEGINNING, "text"),)
GREEN = (ThresholdStep(BEGINNING, "green"),)
PRESENT = (ThresholdStep(BEGINNING, "red"), ThresholdStep(1, "green"))
NEVER = (ThresholdStep(BEGINNING, "green"), ThresholdStep(1e-9, "red"))  # for counts that should always be 0


def above(yellow: float, red: float) -> tuple[ThresholdStep, ...]:
    """The colours of a value that should be low: yellow and red from these values upwards."""
    return (ThresholdStep(BEGINNING, "green"), ThresholdStep(yellow, "yellow"), ThresholdStep(red, "red"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel with its queries. `unit` is a Grafana unit id; for a heatmap it is the unit of the cells."""

    title: str
    description: str
    unit: str = "none"
    queries: tuple[Query, ...] = ()
    kind: Literal["stat", "timeseries", "heatmap", "text"] = "timeseries"
    width: int = 8
    steps: tuple[ThresholdStep, ...] = GREEN
    shows_name: bool = False  # a stat that shows the name of its series, not its value
    is_stacked: bool = False
    content: str = ""  # of a text panel, in Markdown

    @property
    def height(self) -> int:
        return 4 if self.kind in ("stat", "text") else 8


class PanelRow(NamedTuple):
    """Panels under a title. A collapsed row is closed until the user opens it."""

    title: str
    panels: tuple[Panel, ...]
    is_collapsed: bool = False


def lines(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, steps: tuple[ThresholdStep, ...] = GREEN
) -> Panel:
    """Values over time. Steps after the first are drawn as horizontal lines."""
    return Panel(title=title, description=description, unit=unit, queries=queries, width=width, steps=steps)


def layers(title: str, description: str, unit: str, *queries: Query) -> Panel:
    """Parts of a whole over time, stacked."""
    return Panel(title=title, description=description, unit=unit, queries=queries, is_stacked=True)


def heatmap(title: str, description: str, query: Query) -> Panel:
    return Panel(title=title, description=description, unit="cps", queries=(query,), kind="heatmap", width=12)


def number(title: str, description: str, unit: str, query: Query, steps: tuple[ThresholdStep, ...]) -> Panel:
    """The current value, one per series."""
    return Panel(title=title, description=description, unit=unit, queries=(query,), kind="stat", width=3, steps=steps)


def name(title: str, description: str, query: Query, width: int) -> Panel:
    """The names of the current series."""
    return Panel(
        title=title,
        description=description,
        queries=(query,),
        kind="stat",
        width=width,
        steps=PLAIN,
        shows_name=True,
    )


def text(title: str, content: str, width: int) -> Panel:
    return Panel(title=title, description="How to read this dashboard.", kind="text", content=content, width=width)
