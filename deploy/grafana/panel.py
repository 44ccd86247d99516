"""What a panel is: one question, its answer's unit and colours; `classic` makes Grafana's JSON of it."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Query(NamedTuple):
    """One expression, and what its lines are called."""

    legend: str
    expr: str


class Step(NamedTuple):
    """From this value on, this colour."""

    value: float | None  # None: from the beginning
    color: str


BEGINNING = None
INSTANCE = "{{instance}}"  # the name of a line that leads to that instance
PLAIN = (Step(BEGINNING, "text"),)
GREEN = (Step(BEGINNING, "green"),)
PRESENT = (Step(BEGINNING, "red"), Step(1, "green"))
NEVER = (Step(BEGINNING, "green"), Step(1e-9, "red"))  # where any at all is too many


def above(yellow: float, red: float) -> tuple[Step, ...]:
    """The colours of a number that is bad when it is high."""
    return (Step(BEGINNING, "green"), Step(yellow, "yellow"), Step(red, "red"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question and its answer. `unit` is a Grafana unit id; for a heatmap it is that of the cells."""

    title: str
    description: str
    unit: str = "none"
    queries: tuple[Query, ...] = ()
    kind: Literal["stat", "timeseries", "heatmap", "text"] = "timeseries"
    width: int = 8
    steps: tuple[Step, ...] = GREEN
    shows_name: bool = False  # a stat that shows what its series is called, not its value
    is_stacked: bool = False
    content: str = ""  # of a text, Markdown

    @property
    def height(self) -> int:
        return 4 if self.kind in ("stat", "text") else 8


class Row(NamedTuple):
    """Panels under a title; a collapsed one is opened when its answers are wanted."""

    title: str
    panels: tuple[Panel, ...]
    is_collapsed: bool = False


def lines(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, steps: tuple[Step, ...] = GREEN
) -> Panel:
    """Values over time; where there are steps beyond the first, they are drawn as lines."""
    return Panel(title=title, description=description, unit=unit, queries=queries, width=width, steps=steps)


def layers(title: str, description: str, unit: str, *queries: Query) -> Panel:
    """Parts of a whole over time."""
    return Panel(title=title, description=description, unit=unit, queries=queries, is_stacked=True)


def heatmap(title: str, description: str, query: Query) -> Panel:
    return Panel(title=title, description=description, unit="cps", queries=(query,), kind="heatmap", width=12)


def number(title: str, description: str, unit: str, query: Query, steps: tuple[Step, ...]) -> Panel:
    """One value, as it is now, or one a series."""
    return Panel(title=title, description=description, unit=unit, queries=(query,), kind="stat", width=3, steps=steps)


def name(title: str, description: str, query: Query, width: int) -> Panel:
    """What a series is called, as it is now."""
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
