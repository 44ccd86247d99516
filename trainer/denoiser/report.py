"""The report of a denoiser: examples, training curves, and the figures as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from trainer.denoiser.score import Quality
    from trainer.denoiser.training import Fit

SHOWN = 10
DPI = 120


@dataclass(frozen=True, slots=True)
class Findings:
    """What the report shows: pictures (n, c, h, w) by row, trained networks by name, figures, and settings."""

    title: str
    rows: Mapping[str, NDArray[np.float32]]
    fits: Mapping[str, Fit]
    table: Sequence[Quality]
    facts: Mapping[str, int | float | str]


def write(folder: Path, findings: Findings) -> None:
    """Put `pictures.png`, `training.png` and `figures.json` into the folder. Raises RefusedError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
            _pictures(findings).savefig(folder / "pictures.png", dpi=DPI)
            _training(findings).savefig(folder / "training.png", dpi=DPI)
        text = json.dumps(_figures(findings), indent=2)
        (folder / "figures.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be written to: {error.strerror or error}") from error


def _figures(findings: Findings) -> dict[str, object]:
    return {
        **findings.facts,
        "quality": [asdict(row) for row in findings.table],
        "training": {
            name: {"best_epoch": fit.best + 1, "curve": [asdict(epoch) for epoch in fit.curve]}
            for name, fit in findings.fits.items()
        },
    }


def _pictures(findings: Findings) -> Figure:
    """Rows of clean, noisy and denoised pictures. All are test pictures, which no network was trained on."""
    columns = min(SHOWN, *(len(row) for row in findings.rows.values()))
    figure = Figure(figsize=(1.6 + 0.85 * columns, 0.5 + 0.87 * len(findings.rows)), layout="constrained")
    figure.suptitle(findings.title)
    axes = figure.subplots(len(findings.rows), columns, squeeze=False)
    for line, (name, row) in zip(axes, findings.rows.items(), strict=True):
        for place, picture in zip(line, row, strict=False):
            _show(place, picture)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def _show(place: Axes, picture: NDArray[np.float32]) -> None:
    values = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    place.imshow(values, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    place.set_xticks([])
    place.set_yticks([])
    for spine in place.spines.values():
        spine.set_visible(False)


def _training(findings: Findings) -> Figure:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for colour, (name, fit) in zip(("C0", "C1"), findings.fits.items(), strict=False):
        seconds = [epoch.seconds for epoch in fit.curve]
        axes.plot(seconds, [epoch.training for epoch in fit.curve], ".--", color=colour, label=f"{name}, training")
        axes.plot(seconds, [epoch.validation for epoch in fit.curve], "o-", color=colour, label=f"{name}, validation")
    axes.set(xlabel="seconds of computing time; each dot is an epoch", ylabel="mean square error", title=findings.title)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure
