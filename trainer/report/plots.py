"""Pictures of beats and of the training. Each function returns the bytes of a PNG; the same input, the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from monitor.beats.beat import SAMPLES
from monitor.model.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from monitor.model.manifest import Model
    from trainer.report.findings import ScoredSplit

DPI = 130
COLUMNS = 3
INK, NORMAL, ABNORMAL, THIRD = "#1f2933", "#2274a5", "#d1495b", "#8a6d00"
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e7eb",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": "#9aa5b1",
}


def drawn(size: tuple[float, float], rows: int, columns: int, draw: Callable[[list[Axes]], None]) -> bytes:
    """A PNG of panels in a grid. It has no date and no version of matplotlib in it, so that its bytes do not change."""
    with mpl.rc_context():
        mpl.rcdefaults()  # ignore the user's own matplotlibrc
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=size, layout="constrained")
        draw(list(figure.subplots(rows, columns, squeeze=False).flat))
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def training(losses: Sequence[float]) -> bytes:
    """The mean loss of each epoch. The axis is logarithmic if the losses span more than a factor of ten."""

    def draw(panels: list[Axes]) -> None:
        axes = panels[0]
        marker = "o" if len(losses) == 1 else None  # a line needs two points
        axes.plot(range(1, len(losses) + 1), losses, color=NORMAL, linewidth=1.5, marker=marker)
        axes.set(xlabel="epoch", ylabel="loss (mean absolute error)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True) if len(losses) > 1 else FixedLocator([1]))
        if min(losses) > 0 and max(losses) > 10 * min(losses):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)

    return drawn((6.4, 3.4), 1, 1, draw)


def spread(rows: NDArray[np.int64], count: int) -> list[int]:
    """`count` of the rows in equal steps of rank, without the extremes at both ends."""
    places = (np.arange(count) + 0.5) / count * len(rows)
    return [int(rows[place]) for place in np.unique(places.astype(np.int64))]


def beats(model: Model, found: ScoredSplit, lines: Sequence[Sequence[int]], *, kind_above: bool = False) -> bytes:
    """Beats and their reconstructions in lines of panels, with the error shaded.

    `lines`: the rows of `found` to draw, at most COLUMNS in a line. The kind of a beat is written above its panel with
    `kind_above`, and else once at the start of each line.
    """
    flat = [row for line in lines for row in line]
    explained = Scorer(model, "cpu", len(flat)).explain(found.part.samples[flat])
    place = {row: number for number, row in enumerate(flat)}  # of a row of `found` in `explained`

    def draw(panels: list[Axes]) -> None:
        for number, line in enumerate(lines):
            for axes, row in zip(panels[number * COLUMNS :], line, strict=False):
                _beat(axes, explained.samples[place[row]], explained.reconstruction[place[row]])
                axes.set_title(_title(found, row, kind_above=kind_above))
            panels[number * COLUMNS].set_ylabel("" if kind_above else _wrapped(found.kind(line[0])))
        for axes in panels:  # the last ones of a short line stay empty
            axes.set_visible(axes.has_data())
        _legend(panels[0])

    return drawn((6.4, 0.5 + (1.9 if kind_above else 1.7) * len(lines)), len(lines), COLUMNS, draw)


def in_lines(rows: NDArray[np.int64], most: int) -> list[list[int]]:
    """The first `most` of the rows, in lines of COLUMNS panels."""
    return [rows[start : min(start + COLUMNS, most)].tolist() for start in range(0, min(len(rows), most), COLUMNS)]


def _beat(axes: Axes, samples: NDArray[np.float32], reconstruction: NDArray[np.float32]) -> None:
    axes.fill_between(range(len(samples)), samples, reconstruction, color=ABNORMAL, alpha=0.3, linewidth=0)
    axes.plot(samples, color=INK, linewidth=1.2)
    axes.plot(reconstruction, color=NORMAL, linewidth=1.2)
    axes.set_xticks([0, SAMPLES // 2, SAMPLES])


def _legend(axes: Axes) -> None:
    figure = axes.get_figure()
    if isinstance(figure, Figure):
        handles = [axes.lines[0], axes.lines[1], axes.collections[0]]
        figure.legend(handles, ["beat", "reconstruction", "error"], loc="outside upper center", ncols=3)


def _title(found: ScoredSplit, row: int, *, kind_above: bool) -> str:
    score = f"score {found.scores[row]:#.3g}"
    return f"{_wrapped(found.kind(row))}\n{score}" if kind_above else score


def _wrapped(kind: str) -> str:
    return kind.replace(" or ", "\nor ")
