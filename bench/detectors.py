"""`python -m bench.detectors --data FOLDER`: how well beats of recordings are found, beside gqrs and sleepecg.

Every detector gets the same lead. A detection and an annotated beat within 150 ms are a pair, each at most once
(ANSI/AAMI EC57). All beats count, paced ones too, whose window of 0.248 s before R and 0.408 s after it lies inside the
recording: others cannot be cut. They are left out for every detector, and how many they are is said. Nothing else is
left out at the start, where `bxb` of WFDB begins after 5 minutes. Annotations of anything but beats are left out, and
so is ventricular flutter, from the annotation of its start to that of its end: its beats are not annotated.
The segmenter gets the lead in chunks of 1 s, as from a device.
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

from monitor.beats.window import R_CENTRED
from monitor.errors import MonitorError, RefusedError
from monitor.recordings import Segmenter, lead_names, open_recording
from monitor.recordings.beat_symbols import (
    BEAT_SYMBOLS,
    FLUTTER_END,
    FLUTTER_START,
    REACH_SECONDS,
    VENTRICULAR_SYMBOLS,
)
from monitor.recordings.lead_choice import usual_lead
from monitor.recordings.segmenter import joined
from tests.recordings.mitdb import matched

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_SECONDS = 1.0  # what the segmenter gets at a time, as from a device
GQRS_PER_MV = 1000.0  # a fixed gain: gqrs does not adapt its first threshold
HEAD = """\
| record | lead | detector | sensitivity | PPV | ventricular beats | R offset, ms | in samples | CPU s per hour |
|---|---|---|---|---|---|---|---|---|"""

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
        is_excluded: NDArray[np.bool_] = np.any(inside, axis=1)
        return ~is_excluded

    def holds(self, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of which R peaks at these times the window lies inside the recording."""
        end = len(self.signal) / self.hz
        is_cut: NDArray[np.bool_] = seconds >= R_CENTRED.before_seconds
        is_cut &= seconds <= end - R_CENTRED.after_seconds
        return is_cut


@dataclass(frozen=True, slots=True)
class Detection:
    """What one detector found in one lead, or in all of them."""

    beats: int
    outside: int  # beats whose window reaches over an end of the recording; not among `beats`
    found: int
    detections: int
    right: int
    ventricular: int
    ventricular_found: int
    offsets_ms: NDArray[np.float64]  # detection minus annotation
    cpu_seconds: float
    hours: float
    hz: float

    def row(self) -> str:
        """Sensitivity, PPV, ventricular beats found, median offset of R, CPU seconds per hour: cells of a table."""
        shares = (_share(self.found, self.beats), _share(self.right, self.detections))
        median = float(np.median(self.offsets_ms)) if len(self.offsets_ms) else float("nan")
        offset = f"{median:+.1f} | {median * self.hz / 1000:+.1f}"
        ventricular = f"{self.ventricular_found:,} of {self.ventricular:,}" if self.ventricular else "-"
        return " | ".join((*shares, ventricular, offset, f"{self.cpu_seconds / self.hours:.2f}"))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _ours(signal: NDArray[np.float64], hz: float) -> NDArray[np.float64]:
    segmenter, size = Segmenter(hz), int(CHUNK_SECONDS * hz)
    chunks = [signal[start : start + size] for start in range(0, len(signal), size)]
    return joined([*(segmenter.feed(chunk) for chunk in chunks), segmenter.finish()]).time


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
    recording = open_recording(path, lead=lead or usual_lead(lead_names(path)))
    notes = recording.annotations
    if notes is None or not BEAT_SYMBOLS & set(notes.symbols):
        return None
    signal = np.nan_to_num(recording.samples)
    if hz is not None:
        ratio = Fraction(hz / recording.hz).limit_denominator(1000)
        signal = resample_poly(signal, ratio.numerator, ratio.denominator)
    is_beat = np.array([symbol in BEAT_SYMBOLS for symbol in notes.symbols])
    ends = (notes.seconds[[symbol == code for symbol in notes.symbols]] for code in (FLUTTER_START, FLUTTER_END))
    excluded = np.array(list(zip(*ends, strict=False))).reshape(-1, 2)
    codes = tuple(symbol for symbol in notes.symbols if symbol in BEAT_SYMBOLS)
    return AnnotatedLead(path.stem, recording.lead, hz or recording.hz, signal, notes.seconds[is_beat], codes, excluded)


def measure(lead: AnnotatedLead, detect: Detect) -> Detection:
    """Run a detector on a lead, and compare what it finds with the annotations."""
    began = time.process_time()
    seconds = detect(lead.signal, lead.hz)
    taken = time.process_time() - began
    counted, found = lead.counts(lead.beats), seconds[lead.counts(seconds)]
    beats, codes = lead.beats[counted], np.array(lead.codes)[counted]
    is_found, is_right, distances = matched(beats, found, REACH_SECONDS)
    inside, is_ventricular = lead.holds(beats), np.isin(codes, list(VENTRICULAR_SYMBOLS))
    return Detection(
        int(inside.sum()),
        int((~inside).sum()),
        int(is_found[inside].sum()),
        int(lead.holds(found).sum()),
        int(is_right[lead.holds(found)].sum()),
        int((inside & is_ventricular).sum()),
        int(is_found[inside & is_ventricular].sum()),
        1000 * distances,
        taken,
        len(lead.signal) / lead.hz / 3600,
        lead.hz,
    )


def total(parts: list[Detection]) -> Detection:
    """All leads together."""
    return Detection(
        beats=sum(part.beats for part in parts),
        outside=sum(part.outside for part in parts),
        found=sum(part.found for part in parts),
        detections=sum(part.detections for part in parts),
        right=sum(part.right for part in parts),
        ventricular=sum(part.ventricular for part in parts),
        ventricular_found=sum(part.ventricular_found for part in parts),
        offsets_ms=np.concatenate([part.offsets_ms for part in parts]),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        hours=sum(part.hours for part in parts),
        hz=parts[0].hz,
    )


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
    click.echo(HEAD)
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
    outside = total(next(iter(results.values()))).outside
    click.echo(f"\n{outside} beats whose window reaches over the start or the end of a recording do not count.")


def _turned(lead: AnnotatedLead) -> AnnotatedLead:
    return AnnotatedLead(lead.name, lead.lead, lead.hz, -lead.signal, lead.beats, lead.codes, lead.excluded)


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
