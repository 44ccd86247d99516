"""Pictures of scores: histogram, ROC, precision and recall, sweep of thresholds, promised against realised rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from trainer.report.plots import ABNORMAL, INK, NORMAL, THIRD, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from monitor.model.manifest import Figures
    from trainer.report.findings import Promise, ScoredSplit, Sweep

    Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

BINS = (15, 70)  # fewest and most
CLOSER = 0.1  # the part of an axis that the second panel shows


def histogram(normal: NDArray[np.float32], abnormal: NDArray[np.float32], threshold: float) -> bytes:
    """Counts of scores on logarithmic axes, so that both the bulk and the few near the threshold are seen."""
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
        axes.set(xscale="log", yscale="log", ylim=(0.7, None), xlabel="score", ylabel="beats")
        _plain_numbers(axes)
        _legend_above(axes)

    return drawn((6.4, 3.8), 1, 1, draw)


def roc(found: ScoredSplit, shipped: Figures) -> bytes:
    """The whole ROC curve, and its upper left corner."""
    false, true, _ = roc_curve(found.abnormal, found.scores, drop_intermediate=False)
    bottom = _below(min(shipped.recall, float(true[false <= CLOSER / 10].max())))

    def draw(panels: list[Axes]) -> None:
        for axes in panels:
            axes.plot(false, true, color=NORMAL, linewidth=1.8, label=f"AUC {shipped.auc:.4f}")
            axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1, linestyle=":")
            _mark(axes, shipped.false_positive_rate, shipped.recall)
            axes.set(xlabel="false alarm rate", ylabel="share of abnormal found")
        right = max(CLOSER, 1.5 * shipped.false_positive_rate)
        _closer(panels[1], (-0.03 * right, right), bottom)

    return drawn((6.4, 3.5), 1, 2, draw)


def precision_recall(found: ScoredSplit, shipped: Figures) -> bytes:
    """The whole precision-recall curve, and its upper right corner."""
    precision, recall, _ = precision_recall_curve(found.abnormal, found.scores)
    share = float(found.abnormal.mean())
    at = shipped.precision if shipped.precision is not None else 1.0
    left = _below(shipped.recall)

    def draw(panels: list[Axes]) -> None:
        for axes in panels:
            axes.plot(recall, precision, color=NORMAL, linewidth=1.8, label=f"AP {shipped.average_precision:.4f}")
            axes.axhline(share, color="#9aa5b1", linewidth=1, linestyle=":")
            _mark(axes, shipped.recall, at)
            axes.set(xlabel="recall", ylabel="precision")
        _closer(panels[1], (left, 1 + 0.03 * (1 - left)), _below(at))

    return drawn((6.4, 3.5), 1, 2, draw)


def sweep(swept: Sweep, threshold: float) -> bytes:
    """Precision, recall, F1 and false alarm rate against the threshold."""

    def draw(panels: list[Axes]) -> None:
        axes = panels[0]
        axes.plot(swept.threshold, swept.precision, color=NORMAL, label="precision")
        axes.plot(swept.threshold, swept.recall, color=ABNORMAL, label="recall")
        axes.plot(swept.threshold, swept.f1, color=INK, label="F1")
        axes.plot(swept.threshold, swept.false_positive_rate, color=THIRD, label="false alarm rate", linestyle="-.")
        axes.axvline(threshold, color=INK, linewidth=1.5, linestyle="--", label=f"threshold {threshold:.3g}")
        axes.set(xscale="log", ylim=(-0.02, 1.03), xlabel="threshold")
        _plain_numbers(axes)
        _legend_above(axes)

    return drawn((6.4, 4.0), 1, 1, draw)


def promise(kept: Promise, shipped: tuple[float, float] | None) -> bytes:
    """Realised against promised rate: below the line the promise is kept. `shipped`: the model's own pair of them."""

    def draw(panels: list[Axes]) -> None:
        axes, x = panels[0], kept.promised
        low, middle, high = np.percentile(kept.realised, [100 * (1 - kept.confidence), 50, 100 * kept.confidence], 0)
        band = f"random halves, {1 - kept.confidence:.0%} to {kept.confidence:.0%} of them"
        axes.fill_between(x, low, high, color=NORMAL, alpha=0.25, linewidth=0, label=band)
        axes.plot(x, middle, color=NORMAL, label="random halves, median")
        if kept.on_test is not None:
            axes.plot(x, kept.on_test, color=ABNORMAL, label="this model on the test's normal beats")
        axes.plot([0, x[-1]], [0, x[-1]], color=INK, linestyle="--", linewidth=1.3, label="promised")
        if shipped is not None:
            axes.plot(*shipped, color=ABNORMAL, marker="o", markersize=8, linestyle="none", label="shipped threshold")
        axes.set(xlabel="promised false alarm rate", ylabel="realised", xlim=(0, x[-1]), ylim=(0, None))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
            axis.set_major_locator(MultipleLocator(0.05))
        _legend_above(axes)

    return drawn((6.4, 4.6), 1, 1, draw)


def _mark(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], color=ABNORMAL, marker="o", markersize=8, linestyle="none", label="shipped threshold")


def _closer(axes: Axes, x: tuple[float, float], bottom: float) -> None:
    """Show a corner, and put the legend of both panels above them."""
    axes.set(xlim=x, ylim=(bottom, 1 + 0.03 * (1 - bottom)), title="the same, closer")
    _legend_above(axes)


def _below(value: float) -> float:
    """A round number below a rate, for an axis to begin at."""
    return max(0.0, float(np.floor(10 * (value - 0.02)) / 10))


def _legend_above(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside upper center", ncols=2)


def _plain_numbers(axes: Axes) -> None:
    """0.01, 0.1, 1 in place of powers of ten."""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
