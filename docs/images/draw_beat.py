"""Draws `what-is-a-beat.png`, and measures how the model of ECG5000 does on other people's leads.

`python docs/images/draw_beat.py --mitdb FOLDER --ecg5000 FOLDER`, from the repository's root, draws the picture. With
`--model FILE` it also scores every normal beat of the records in FOLDER, cut from R peak to R peak, and prints which
share lies above the model's threshold. MIT-BIH Arrhythmia Database: PhysioNet, Moody and Mark, 2001, ODC-BY 1.0.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from matplotlib.figure import Figure

from monitor.beats import beat_file
from monitor.beats.beat import SAMPLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Signal = NDArray[np.float32]

PICTURE = Path(__file__).with_name("what-is-a-beat.png")
HZ, UNITS_PER_MV, ZERO = 360, 200, 1024  # of every record of the database
RECORD, FIRST_BEAT, SHOWN = "103", 6, 5  # the record, and the beats of it, that the picture shows
SIGN = 1 << 11  # samples have 12 bits
NORMAL = 1  # annotation codes of PhysioNet's `.atr` files
BEATS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25, 30, 34, 35, 38, 41}
SKIP, NUMBER, SUBTYPE, CHANNEL, TEXT = 59, 60, 61, 62, 63
RED, BLUE, GREY = "#c62828", "#1565c0", "#757575"


@dataclass(frozen=True, slots=True)
class Lead:
    """One lead of one record: millivolts (n,), and where the beats are and of which kind."""

    name: str
    millivolts: Signal
    peaks: NDArray[np.int64]
    codes: NDArray[np.int64]

    def windows(self) -> tuple[Signal, NDArray[np.bool_]]:
        """Every piece from one R peak to the next as 140 samples, and whether both of its beats are normal."""
        pairs = list(zip(self.peaks[:-1], self.peaks[1:], strict=True))
        pieces = [stretched(self.millivolts[start:end]) for start, end in pairs if end - start > 1]
        kept = np.array([end - start > 1 for start, end in pairs])
        normal = (self.codes[:-1] == NORMAL) & (self.codes[1:] == NORMAL)
        return np.stack(pieces), normal[kept]


def stretched(piece: Signal) -> Signal:
    """A piece of any length as 140 samples, by linear interpolation."""
    places = np.linspace(0, len(piece) - 1, SAMPLES)
    return np.interp(places, np.arange(len(piece)), piece).astype(np.float32)


def read(folder: Path, record: str) -> Lead:
    """The lead MLII of a record, or its first one where there is no MLII."""
    names = [line.split()[-1] for line in (folder / f"{record}.hea").read_text().splitlines()[1:3]]
    column = names.index("MLII") if "MLII" in names else 0
    triples = np.fromfile(folder / f"{record}.dat", np.uint8).reshape(-1, 3).astype(np.int32)
    low, middle, high = triples.T
    both = np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], axis=1)  # format 212
    signed = np.where(both >= SIGN, both - 2 * SIGN, both)
    peaks, codes = _annotations((folder / f"{record}.atr").read_bytes())
    return Lead(names[column], ((signed[:, column] - ZERO) / UNITS_PER_MV).astype(np.float32), peaks, codes)


def _annotations(content: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times in samples and codes of the annotated beats. A word has 6 bits of code and 10 bits of time."""
    words = np.frombuffer(content, "<u2").tolist()
    at, now, found = 0, 0, []
    while at < len(words) and words[at]:
        code, value = words[at] >> 10, words[at] & 0x3FF
        at += 1
        if code == SKIP:
            now += (words[at] << 16) + words[at + 1]
            at += 2
        elif code == TEXT:
            at += (value + 1) // 2
        elif code not in (NUMBER, SUBTYPE, CHANNEL):
            now += value
            found += [(now, code)] if code in BEATS else []
    times, codes = zip(*found, strict=True)
    return np.array(times), np.array(codes)


def draw(lead: Lead, learnt: Signal) -> None:
    """Three steps from the lead to the beat, and what the model of ECG5000 has learnt from."""
    figure = Figure((11, 6), layout="constrained")
    (top, bottom) = figure.subfigures(2)
    peaks = lead.peaks[FIRST_BEAT : FIRST_BEAT + SHOWN]
    start, end = peaks[1:3]
    _recording(top.subplots(), lead, peaks)
    left, middle, right = bottom.subplots(1, 3)
    piece = lead.millivolts[start:end]
    left.plot(np.arange(len(piece)) / HZ, piece, color=BLUE)
    left.set(title=f"2. One beat: from an R peak to the next\n{len(piece)} samples", xlabel="seconds", ylabel="mV")
    _samples(middle, stretched(piece), "3. The same, stretched to 140 samples:\nthis goes onto the topic", BLUE)
    middle.set(ylabel="mV")
    _samples(right, learnt, "A normal beat of ECG5000:\nthe example data, another patient", GREY)
    right.set(ylabel="no unit")
    figure.savefig(PICTURE, dpi=100)


def _recording(axes: Axes, lead: Lead, peaks: NDArray[np.int64]) -> None:
    shown = slice(peaks[0] - HZ // 4, peaks[-1] + HZ // 4)
    seconds = np.arange(shown.start, shown.stop) / HZ
    axes.plot(seconds, lead.millivolts[shown], color="black", linewidth=1)
    axes.plot(peaks / HZ, lead.millivolts[peaks], "v", color=RED, label="R peak")
    axes.axvspan(peaks[1] / HZ, peaks[2] / HZ, color=BLUE, alpha=0.15, label="one beat")
    title = f"1. A lead: MIT-BIH record {RECORD}, {lead.name}, {HZ} samples a second"
    axes.set_title(title, loc="left")
    axes.set(xlabel="seconds", ylabel="mV", xlim=(seconds[0], seconds[-1]))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)


def _samples(axes: Axes, beat: Signal, title: str, color: str) -> None:
    axes.plot(beat, color=color, marker=".", markersize=3)
    axes.set(title=title, xlabel="sample", xticks=[0, 35, 70, 105, 139])


def measure(folder: Path, path: Path) -> None:
    """Print which share of each record's normal beats the model calls abnormal."""
    from monitor import load_model  # noqa: PLC0415 - the picture alone needs no model

    model, shares, total, flagged = load_model(path), [], 0, 0
    for record in sorted(each.stem for each in folder.glob("*.hea")):
        windows, normal = read(folder, record).windows()
        if not normal.any():
            continue
        is_above = model.score(windows[normal]).abnormal
        total, flagged = total + len(is_above), flagged + int(is_above.sum())
        shares.append(is_above.mean())
        click.echo(f"{record}: {is_above.mean():.1%} of {len(is_above)} normal beats above the threshold")
    click.echo(f"all: {flagged / total:.1%} of {total}; median of {len(shares)} records {np.median(shares):.1%}")


@click.command()
@click.option("--mitdb", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--ecg5000", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--model", type=click.Path(exists=True, path_type=Path))
def main(mitdb: Path, ecg5000: Path, model: Path | None) -> None:
    """Draw the picture; with a model, measure it on the records."""
    (training,) = (path for path in ecg5000.iterdir() if re.fullmatch(r"ECG5000_TRAIN\.tsv", path.name))
    learnt = beat_file.read(training)
    draw(read(mitdb, RECORD), learnt.samples[0])
    if model is not None:
        measure(mitdb, model)


if __name__ == "__main__":
    main()
