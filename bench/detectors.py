"""`python -m bench.detectors --data FOLDER`: how well beats of recordings are found, beside gqrs and sleepecg.

Every detector gets the same lead. A detection and an annotated beat within 150 ms are a pair, each at most once
(ANSI/AAMI EC57). All beats count, from the first sample to the last, paced ones too. Annotations of anything but beats
are left out, and so is ventricular flutter, from the annotation of its start to that of its end: its beats are not
annotated.
The segmenter leaves out a beat whose window reaches over the start or the end of a recording. So that it is judged by
all beats, as the others are, it gets the lead with its first and last value repeated for half a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from scipy.signal import resample_poly

from monitor.errors import MonitorError, RefusedError
from monitor.recordings import Segmenter, lead_names, open_recording
from monitor.recordings.beat_symbols import BEAT_SYMBOLS, REACH_SECONDS
from monitor.recordings.segmenter import joined
from tests.recordings.mitdb import matched

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN_SECONDS = 0.5
VENTRICULAR = frozenset("VEr")
FLUTTER = "[", "]"  # its start and its end
GQRS_PER_MV = 1000.0  # a fixed gain: gqrs does not adapt its first threshold
PREFERRED = ("MLII", "II")

Detect = Callable[["NDArray[np.float64]", float], "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class AnnotatedLead:
    """One lead (n,) in mV, the seconds and codes of its annotated beats, and the stretches (k, 2) that do not count."""

    name: str
    lead: str
    hz: float
    signal: NDArray[np.float64]
    beats: NDArray[np.float64]
    codes: tuple[str, ...]
    excluded: NDArray[np.float64]

    def counts(self, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of these times count."""
        inside = (seconds[:, None] >= self.excluded[:, 0]) & (seconds[:, None] <= self.excluded[:, 1])
        return ~inside.any(axis=1)


@dataclass(frozen=True, slots=True)
class Detection:
    """What one detector found in one lead, or in all of them."""

    beats: int
    found: int
    detections: int
    right: int
    ventricular: int
    ventricular_found: int
    offsets_ms: NDArray[np.float64]  # detection minus annotation
    cpu_seconds: float
    hours: float

    def row(self) -> str:
        """Sensitivity, PPV, ventricular beats found, median offset of R, CPU seconds per hour: cells of a table."""
        shares = (_share(self.found, self.beats), _share(self.right, self.detections))
        offset = f"{np.median(self.offsets_ms):+.1f}" if len(self.offsets_ms) else "-"
        ventricular = f"{self.ventricular_found:,} of {self.ventricular:,}" if self.ventricular else "-"
        return " | ".join((*shares, ventricular, offset, f"{self.cpu_seconds / self.hours:.2f}"))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _ours(signal: NDArray[np.float64], hz: float) -> NDArray[np.float64]:
    segmenter, margin = Segmenter(hz), int(MARGIN_SECONDS * hz)
    padded = np.pad(signal, margin, mode="edge")
    return joined([segmenter.feed(padded), segmenter.finish()]).time - margin / hz


def _gqrs(signal: NDArray[np.float64], hz: float) -> NDArray[np.float64]:
    from wfdb.processing import gqrs_detect  # noqa: PLC0415 - brings pandas

    counts = np.rint(np.nan_to_num(signal) * GQRS_PER_MV).astype(np.int64)
    found = gqrs_detect(d_sig=counts, fs=hz, adc_gain=GQRS_PER_MV, adc_zero=0)
    return np.asarray(found, np.float64) / hz


def _sleepecg(signal: NDArray[np.float64], hz: float) -> NDArray[np.float64]:
    from sleepecg import detect_heartbeats  # noqa: PLC0415

    return np.asarray(detect_heartbeats(np.nan_to_num(signal), hz), np.float64) / hz


DETECTORS: dict[str, Detect] = {"this one": _ours, "wfdb gqrs": _gqrs, "sleepecg": _sleepecg}


def read(path: Path, hz: float | None = None, lead: str | None = None) -> AnnotatedLead | None:
    """A lead of a recording, resampled to `hz` where it is given; None where there are no annotated beats."""
    names = lead_names(path)
    recording = open_recording(path, lead=lead or next((name for name in PREFERRED if name in names), 0))
    notes = recording.annotations
    if notes is None or not BEAT_SYMBOLS & set(notes.symbols):
        return None
    signal = np.nan_to_num(recording.samples)
    if hz is not None:
        ratio = Fraction(hz / recording.hz).limit_denominator(1000)
        signal = resample_poly(signal, ratio.numerator, ratio.denominator)
    is_beat = np.array([symbol in BEAT_SYMBOLS for symbol in notes.symbols])
    ends = (notes.seconds[[symbol == code for symbol in notes.symbols]] for code in FLUTTER)
    excluded = np.array(list(zip(*ends, strict=False))).reshape(-1, 2)
    codes = tuple(symbol for symbol in notes.symbols if symbol in BEAT_SYMBOLS)
    return AnnotatedLead(path.stem, recording.lead, hz or recording.hz, signal, notes.seconds[is_beat], codes, excluded)


def measure(lead: AnnotatedLead, detect: Detect) -> Detection:
    """Run a detector on a lead, and compare what it finds with the annotations."""
    began = time.process_time()
    seconds = detect(lead.signal, lead.hz)
    taken = time.process_time() - began
    counted, found = lead.counts(lead.beats), seconds[lead.counts(seconds)]
    is_ventricular = np.array([code in VENTRICULAR for code in lead.codes])[counted]
    is_found, is_right, distances = matched(lead.beats[counted], found, REACH_SECONDS)
    return Detection(
        len(is_found),
        int(is_found.sum()),
        len(found),
        int(is_right.sum()),
        int(is_ventricular.sum()),
        int(is_found[is_ventricular].sum()),
        1000 * distances,
        taken,
        len(lead.signal) / lead.hz / 3600,
    )


def total(parts: list[Detection]) -> Detection:
    """All leads together."""
    names = ("beats", "found", "detections", "right", "ventricular", "ventricular_found")
    counts = [sum(getattr(part, name) for part in parts) for name in names]
    offsets = np.concatenate([part.offsets_ms for part in parts])
    return Detection(*counts, offsets, sum(part.cpu_seconds for part in parts), sum(part.hours for part in parts))


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="Folder.")
@click.option("--lead", help="Name of the lead.  [default: MLII, II or the first]")
@click.option("--hz", type=click.FloatRange(100, 2000), help="Resample to this rate first.")
@click.option("--invert", is_flag=True, help="Turn the signal upside down first.")
@click.option("--only", type=click.Choice(list(DETECTORS)), help="Only this detector.")
def main(data: Path, lead: str | None, hz: float | None, only: str | None, *, invert: bool) -> None:
    """Find the beats of every WFDB record in a folder, and print what was found as a table."""
    paths = sorted(data.glob("*.hea"))
    detectors = {name: detect for name, detect in DETECTORS.items() if only in (None, name)}
    results: dict[str, list[Detection]] = {name: [] for name in detectors}
    click.echo("| record | lead | detector | sensitivity | PPV | ventricular beats | R offset, ms | CPU s per hour |")
    click.echo("|---|---|---|---|---|---|---|---|")
    for path in paths:
        found = read(path, hz, lead)
        if found is None:
            click.echo(f"{path}: has no annotated beats", err=True)
            continue
        for name, detect in detectors.items():
            results[name].append(measure(_turned(found) if invert else found, detect))
            click.echo(f"| {found.name} | {found.lead} | {name} | {results[name][-1].row()} |")
    if not any(results.values()):
        raise RefusedError(f"{data}: holds no WFDB record with annotated beats")
    for name, parts in results.items():
        click.echo(f"| all {len(parts)} | | {name} | {total(parts).row()} |")


def _turned(lead: AnnotatedLead) -> AnnotatedLead:
    return AnnotatedLead(lead.name, lead.lead, lead.hz, -lead.signal, lead.beats, lead.codes, lead.excluded)


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
