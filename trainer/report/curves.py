"""Pictures of scores: histogram, ROC, precision and recall, all thresholds, and the check of the false-alarm budget.

Each function returns the bytes of a PNG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from trainer.report.plots import ABNORMAL, INK, NORMAL, THIRD, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from numpy.typing import NDArray

    from monitor.model.manifest import Figures
    from trainer.report.findings import BudgetCheck, ScoredSplit, Sweep

    Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

BINS = (15, 70)  # smallest and largest number of bins
CLOSER = 0.1  # share of the axis that the enlarged panel shows


def histogram(normal: NDArray[np.float32], abnormal: NDArray[np.float32], threshold: float) -> bytes:
    """Numbers of beats by score. Both axes are logarithmic, so that the few beats near the threshold can be seen."""
    both = np.concatenate([normal, abnormal, [threshold]])
    low = max(float(both.min()), float(both.max()) * 1e-6)
    bins = int(np.clip(2 * np.sqrt(len(both)), *BINS))
    edges = np.geomspace(low * 0.95, float(both.max()) * 1.05, bins)

    def draw(panels: list[Axes]) -> None:
        axes = panels[0]
        for scores, colour, name in ((normal, NORMAL, "normal"), (abnormal, ABNORMAL, "abnormal")):
            if len(scores):
                label = f"{len(scores):,} {name} beats"
                axes.hist(scores.clip(edges[0]), edges.tolist(), color=colour, alpha=0.55, label=label)
        axes.axvline(threshold, color=INK, linewidth=1.5, linestyle="--", label=f"threshold {threshold:.3g}")
        axes.set(xscale="log", yscale="log", ylim=(0.7, None), xlabel="score", ylabel="number of beats")
        _plain_numbers(axes)
        _legend_above(axes)

    return drawn((6.4, 3.8), 1, 1, draw)


def roc(found: ScoredSplit, ours: Figures) -> bytes:
    """The ROC curve, and its upper left corner enlarged. `ours` has the figures at the model's threshold."""
    false, true, _ = roc_curve(found.abnormal, found.scores, drop_intermediate=False)
    bottom = _below(min(ours.recall, float(true[false <= CLOSER / 10].max())))

    def draw(panels: list[Axes]) -> None:
        for axes in panels:
            axes.plot(false, true, color=NORMAL, linewidth=1.8, label=f"this model, area {ours.auc:.4f}")
            axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1, linestyle=":")
            _mark(axes, ours.false_positive_rate, ours.recall, found)
            axes.set(xlabel="normal beats flagged", ylabel="abnormal beats found")
            _percent(axes.xaxis, axes.yaxis)
        right = max(CLOSER, 1.5 * ours.false_positive_rate)
        _closer(panels[1], (-0.03 * right, right), bottom)

    return drawn((6.4, 3.5), 1, 2, draw)


def precision_recall(found: ScoredSplit, ours: Figures) -> bytes:
    """The precision-recall curve, and its upper right corner enlarged."""
    precision, recall, _ = precision_recall_curve(found.abnormal, found.scores)
    share = float(found.abnormal.mean())
    at = ours.precision if ours.precision is not None else 1.0
    left = _below(ours.recall)

    def draw(panels: list[Axes]) -> None:
        for axes in panels:
            axes.plot(
                recall,
                precision,
                color=NORMAL,
                linewidth=1.8,
                label=f"this model, average precision {ours.average_precision:.4f}",
            )
            axes.axhline(share, color="#9aa5b1", linewidth=1, linestyle=":")
            _mark(axes, ours.recall, at, found)
            axes.set(xlabel="recall", ylabel="precision")
            _percent(axes.xaxis, axes.yaxis)
        _closer(panels[1], (left, 1 + 0.03 * (1 - left)), _below(at))

    return drawn((6.4, 3.5), 1, 2, draw)


def sweep(swept: Sweep, threshold: float) -> bytes:
    """Precision, recall, F1 and the share of normal beats that are flagged, for every threshold."""

    def draw(panels: list[Axes]) -> None:
        axes = panels[0]
        axes.plot(swept.threshold, swept.precision, color=NORMAL, label="precision")
        axes.plot(swept.threshold, swept.recall, color=ABNORMAL, label="recall")
        axes.plot(swept.threshold, swept.f1, color=INK, label="F1")
        axes.plot(swept.threshold, swept.false_positive_rate, color=THIRD, label="normal beats flagged", linestyle="-.")
        axes.axvline(
            threshold, color=INK, linewidth=1.5, linestyle="--", label=f"this model's threshold {threshold:.3g}"
        )
        axes.set(xscale="log", ylim=(-0.02, 1.03), xlabel="threshold", ylabel="share")
        _percent(axes.yaxis)
        _plain_numbers(axes)
        _legend_above(axes)

    return drawn((6.4, 4.0), 1, 1, draw)


def budget_check(check: BudgetCheck, ours: tuple[float, float] | None) -> bytes:
    """Measured false-alarm rates against budgets. Below the dashed line a budget is kept.

    `ours` is the model's own budget and the rate that its threshold has on the normal test beats.
    """

    def draw(panels: list[Axes]) -> None:
        axes, x, sure = panels[0], check.budgets, check.confidence
        low, middle, high = np.percentile(check.measured, [100 * (1 - sure), 50, 100 * sure], 0)
        band = f"random halves: {1 - sure:.0%} to {sure:.0%} quantile"
        axes.fill_between(x, low, high, color=NORMAL, alpha=0.25, linewidth=0, label=band)
        axes.plot(x, middle, color=NORMAL, label="random halves: median")
        if check.on_test is not None:
            axes.plot(x, check.on_test, color=ABNORMAL, label="this model, normal test beats")
        axes.plot([0, x[-1]], [0, x[-1]], color=INK, linestyle="--", linewidth=1.3, label="budget used up exactly")
        if ours is not None:
            _mark(axes, *ours)
        axes.set(xlabel="budget", ylabel="normal beats flagged", xlim=(0, x[-1]), ylim=(0, None))
        _percent(axes.xaxis, axes.yaxis)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MultipleLocator(0.05))
        _legend_above(axes)

    return drawn((6.4, 4.6), 1, 1, draw)


def _percent(*axes: Axis) -> None:
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1))


def _mark(axes: Axes, x: float, y: float, found: ScoredSplit | None = None) -> None:
    """A dot for the model's own threshold; beside the curve where each patient is judged by another one."""
    by_patient = found is not None and found.above is not None
    label = "thresholds of the other patients" if by_patient else "this model's threshold"
    axes.plot([x], [y], color=ABNORMAL, marker="o", markersize=8, linestyle="none", label=label)


def _closer(axes: Axes, x: tuple[float, float], bottom: float) -> None:
    """Show only the corner of a curve, and put the legend of both panels above them."""
    axes.set(xlim=x, ylim=(bottom, 1 + 0.03 * (1 - bottom)), title="enlarged corner")
    _legend_above(axes)


def _below(value: float) -> float:
    """A round number below a rate, at which an axis can begin."""
    return max(0.0, float(np.floor(10 * (value - 0.02)) / 10))


def _legend_above(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside upper center", ncols=2)


def _plain_numbers(axes: Axes) -> None:
    """Label the x axis with 0.01, 0.1, 1 instead of powers of ten."""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
