"""Draws `beat-around-r.png`: a lead, and its beats as `Segmenter` cuts them around R.

`python docs/images/draw_window.py FOLDER`, from the repository's root, where FOLDER has record 119 of the MIT-BIH
Arrhythmia Database: PhysioNet, Moody and Mark, 2001, ODC-BY 1.0.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from matplotlib.figure import Figure

from monitor.beats.window import R_CENTRED
from monitor.recordings import Recording, Segmenter, Segments, open_recording
from monitor.recordings.beat_symbols import VENTRICULAR_SYMBOLS, BeatSymbols

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = Path(__file__).with_name("beat-around-r.png")
RECORD, LEAD, FROM, UNTIL = "119", "MLII", 3.6, 9.2  # seconds
NORMAL, VENTRICULAR = "tab:blue", "tab:red"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the picture."""
    recording = open_recording(folder / RECORD, lead=LEAD)
    segmenter = Segmenter(recording.hz)
    found = segmenter.feed(recording.samples[: int(60 * recording.hz)])
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    shown = np.flatnonzero((found.time > FROM + 0.3) & (found.time < UNTIL - 0.5))
    kinds = _kinds(recording, found)
    _draw_lead(figure.add_subplot(grid[0, :]), recording, found, shown, kinds)
    for place, colour, name in ((0, NORMAL, "normal"), (1, VENTRICULAR, "ventricular")):
        row = next(row for row in shown if kinds[row] == colour)
        _draw_beat(figure.add_subplot(grid[1, place]), found, row, colour, f"{place + 2}. A {name} beat: 140 samples")
    figure.savefig(PICTURE, dpi=100)


def _kinds(recording: Recording, found: Segments) -> list[str]:
    """The colour of each beat."""
    if recording.annotations is None:
        raise click.UsageError(f"{recording.path} has no annotations")
    symbols = BeatSymbols(recording.annotations)
    return [VENTRICULAR if symbols.near(time) in VENTRICULAR_SYMBOLS else NORMAL for time in found.time.tolist()]


def _draw_lead(axes: Axes, recording: Recording, found: Segments, shown: np.ndarray, kinds: list[str]) -> None:
    first, last = (int(seconds * recording.hz) for seconds in (FROM, UNTIL))
    time, samples = np.arange(first, last) / recording.hz, recording.samples[first:last]
    axes.plot(time, samples, color="black", linewidth=1)
    for row in shown:
        at = float(found.time[row])
        axes.axvspan(at - R_CENTRED.before_seconds, at + R_CENTRED.after_seconds, color=kinds[row], alpha=0.15)
        axes.plot([at], [samples[int(at * recording.hz) - first] + 0.25], "v", color=kinds[row])
    axes.set_title(
        f"1. A lead (MIT-BIH record {RECORD}, {LEAD}), the R peaks that are found, and the windows", loc="left"
    )
    axes.set(xlabel="seconds", ylabel="mV", xlim=(FROM, UNTIL))


def _draw_beat(axes: Axes, found: Segments, row: int, colour: str, title: str) -> None:
    axes.plot(1000 * R_CENTRED.seconds_from_r, found.samples[row], ".-", color=colour, linewidth=1, markersize=3)
    axes.axvline(0, color="grey", linestyle=":")
    axes.set_title(title, loc="left")
    axes.set(xlabel="ms from R", ylabel="mV, filtered, mean 0")


if __name__ == "__main__":
    main()
