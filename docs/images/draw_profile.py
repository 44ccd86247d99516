"""Draws `profile.png`: a run of ventricular beats, its scores, and two of the beats beside their source's typical one.

`python docs/images/draw_profile.py FOLDER`, from the repository's root, where FOLDER has record 124 of the MIT-BIH
Arrhythmia Database: PhysioNet, Moody and Mark, 2001, ODC-BY 1.0.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from matplotlib.figure import Figure

from monitor.alarms.run_columns import RunCarry, flag
from monitor.alarms.run_rule import RunRule
from monitor.profiles import Profiles, SourceBeats
from monitor.profiles.columns import Tables
from monitor.profiles.points import QRS, SECONDS
from monitor.profiles.residual import LEAST_SPREAD, Residuals, compare
from monitor.profiles.stored import restore
from monitor.recordings import Recording, Segmenter, Segments, open_recording
from monitor.recordings.beat_symbols import VENTRICULAR_SYMBOLS, BeatSymbols

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

PICTURE = Path(__file__).with_name("profile.png")
RECORD, LEAD, FROM, UNTIL = "124", "MLII", 628.5, 642.5  # seconds
TYPICAL, NORMAL, VENTRICULAR, FUSION, OPEN = "black", "tab:blue", "tab:red", "tab:purple", "tab:orange"
COLOURS = dict.fromkeys(VENTRICULAR_SYMBOLS, VENTRICULAR) | {"F": FUSION}


@dataclass(frozen=True, slots=True)
class Shown:
    """The n beats of the picture, and the template that they are held against."""

    seconds: NDArray[np.float64]  # (n,)
    scores: NDArray[np.float32]  # (n,)
    opened_at: float  # seconds
    colours: list[str]
    template: NDArray[np.void]  # (1,)
    found: Residuals


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the picture."""
    recording = open_recording(folder / RECORD, lead=LEAD)
    shown = _shown(recording)
    figure = Figure(figsize=(11, 9), layout="constrained")
    grid = figure.add_gridspec(4, 2, height_ratios=[1.1, 0.9, 1.3, 1])
    lead = figure.add_subplot(grid[0, :])
    _draw_lead(lead, recording, shown)
    _draw_scores(figure.add_subplot(grid[1, :], sharex=lead), shown)
    for column, (colour, name) in enumerate(((NORMAL, "normal"), (VENTRICULAR, "ventricular"))):
        beat = _last(shown.colours, colour)
        _draw_beat(figure.add_subplot(grid[2, column]), shown, beat, f"{column + 3}. A {name} beat")
        _draw_residual(figure.add_subplot(grid[3, column]), shown, beat)
    figure.savefig(PICTURE, dpi=100)


def _shown(recording: Recording) -> Shown:
    """The beats from FROM to UNTIL, with what the profile of the beats before says about them."""
    segmenter, profiles, samples = Segmenter(recording.hz), Profiles(), recording.samples
    found = segmenter.feed(samples[: int((UNTIL + 1) * recording.hz)])
    row = profiles.add()
    first, last = np.searchsorted(found.time, (FROM, UNTIL))
    _observe(profiles, row, found, slice(0, first))
    tables = Tables()
    restore(tables, profiles.encode(row))
    scores = _observe(profiles, row, found, slice(first, last))
    template = tables.templates.rows[:1]
    rows, unknown = np.zeros(last - first, np.int64), np.zeros(last - first, np.int64)
    flags, _ = flag(RunRule(), RunCarry.empty(1), rows, scores, unknown)
    return Shown(
        found.time[first:last],
        scores,
        float(found.time[first:last][flags.run > 0][0]),
        _colours(recording, found.time[first:last]),
        template,
        compare(found.samples[first:last], template),
    )


def _observe(profiles: Profiles, row: NDArray[np.int64], found: Segments, part: slice) -> NDArray[np.float32]:
    """Let the profile learn from some beats; returns their scores."""
    rows, time_ms = np.repeat(row, part.stop - part.start), np.rint(1000 * found.time[part]).astype(np.int64)
    rr = profiles.intervals(rows, time_ms)
    return profiles.observe(SourceBeats(rows, found.samples[part], time_ms, rr, found.noise[part])).score


def _colours(recording: Recording, seconds: NDArray[np.float64]) -> list[str]:
    if recording.annotations is None:
        raise click.UsageError(f"{recording.path} has no annotations")
    symbols = BeatSymbols(recording.annotations)
    return [COLOURS.get(symbols.near(time), NORMAL) for time in seconds.tolist()]


def _last(colours: list[str], colour: str) -> int:
    return max(place for place, one in enumerate(colours) if one == colour)


def _draw_lead(axes: Axes, recording: Recording, shown: Shown) -> None:
    first, last = (int(seconds * recording.hz) for seconds in (FROM, UNTIL))
    samples = recording.samples[first:last]
    axes.plot(np.arange(first, last) / recording.hz, samples, color="black", linewidth=1)
    for time, colour in zip(shown.seconds.tolist(), shown.colours, strict=True):
        axes.plot([time], [samples.max() + 0.25], "v", color=colour)
    kinds = "blue: normal beats, red: ventricular ones, purple: fusions of both"
    axes.set_title(f"1. A lead (MIT-BIH record {RECORD}, {LEAD}); {kinds}", loc="left")
    axes.set(ylabel="mV", xlim=(FROM, UNTIL))


def _draw_scores(axes: Axes, shown: Shown) -> None:
    rule = RunRule()
    axes.bar(shown.seconds, shown.scores - shown.scores.min(), 0.25, shown.scores.min(), color=shown.colours)
    axes.axhline(rule.least, color="grey", linestyle=":", label=f"{rule.least:g}: each of three beats in a row")
    axes.axhline(rule.mean, color="grey", linestyle="--", label=f"{rule.mean:g}: their mean")
    axes.axvline(shown.opened_at, color=OPEN, label="the alarm opens")
    axes.set_title("2. The personal score of each beat", loc="left")
    axes.set(xlabel="seconds", ylabel="score")
    axes.legend(loc="upper right", fontsize=8)


def _draw_beat(axes: Axes, shown: Shown, beat: int, title: str) -> None:
    """The beat, moved to where it fits best, and the typical beat as high as fits best, with its usual spread."""
    scale, spread = float(shown.template["scale"][0]), shown.template["spread"][0]
    typical = shown.template["typical"][0] * shown.found.gain[beat]
    ms = 1000 * SECONDS
    axes.fill_between(ms, typical - 3 * scale * spread, typical + 3 * scale * spread, color="0.8", label="3 spreads")
    axes.plot(ms, typical, color=TYPICAL, linewidth=1, linestyle="--", label="the source's typical beat")
    axes.plot(ms, typical + scale * shown.found.rest[:, beat], color=shown.colours[beat], label="this beat")
    axes.set_title(title, loc="left")
    axes.set(ylabel="mV, without mean and slope")
    axes.legend(loc="upper right", fontsize=8)


def _draw_residual(axes: Axes, shown: Shown, beat: int) -> None:
    """What the score is made of: the rest in spreads. Times of the ventricular complex, which count, are marked."""
    weight = np.sqrt(shown.template["spread"][0] ** 2 + LEAST_SPREAD**2)
    spreads = np.abs(shown.found.smooth) / weight[:, None]
    axes.axvspan(1000 * SECONDS[QRS.start], 1000 * SECONDS[QRS.stop - 1], color="0.93", label="what counts")
    axes.fill_between(1000 * SECONDS, spreads[:, beat], color=shown.colours[beat], alpha=0.5)
    axes.set_title(f"What remains of it: score {shown.scores[beat]:.1f}", loc="left")
    axes.set(xlabel="ms from R", ylabel="spreads", ylim=(0, spreads.max()))
    axes.legend(loc="upper right", fontsize=8)


if __name__ == "__main__":
    main()
