"""Writes results to a folder as NAME.json, NAME.png and NAME.md, and prints the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write(out: Path, name: str, found: Mapping[str, object], table: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(found, indent=1, default=_plain) + "\n")
    (out / f"{name}.md").write_text(table.rstrip() + "\n")
    click.echo(table)
    click.echo(f"{name}.json, {name}.md and {name}.png are in {out}", err=True)


def picture(path: Path, panels: list[Callable[[Axes], None]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, len(panels), figsize=(7.5 * len(panels), 4.5), squeeze=False, layout="constrained")
    for panel, one in zip(panels, axes[0], strict=True):
        panel(one)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{value!r} is not JSON")
