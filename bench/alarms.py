"""`python -m bench.alarms --data FOLDER`: alarms of the rule `run` on recordings, counted against annotations.

Each lead is cut in chunks of 1 s, as from a device, and its beats are compared with the profile that the first minutes
gave; the rest is judged. The beats of all recordings go through the profiles together, in the order of their times.
Paced recordings are left out (MIT-BIH 102, 104, 107 and 217): their beats are artificial. How it is counted:
`monitor/backtest/counting.py`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import numpy as np

from monitor.alarms.run_rule import RunRule, Sensitivity
from monitor.backtest import Counted, bootstrap, count, episodes_of, total, truth_of
from monitor.errors import MonitorError, RefusedError
from monitor.profiles import Profiles, SourceBeats
from monitor.recordings import Segmenter, lead_names, open_recording
from monitor.recordings.segmenter import joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.backtest import Truth

CHUNK_SECONDS = 1.0
PREFERRED = ("MLII", "II")
PACED = frozenset({"102", "104", "107", "217"})
BATCH = 16_384
HEAD = """\
| record | false episodes | without changes | runs of 3 | of 5 | opens at beat | fibrillation | kept | templates |
|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class PlayedLead:
    """The n beats of one lead and what its annotations say."""

    name: str
    truth: Truth
    seconds: NDArray[np.float64]  # (n,)
    samples: NDArray[np.float32]  # (n, 140)
    noise: NDArray[np.float32]  # (n,), before each beat; NaN where it is not known


@dataclass(frozen=True, slots=True)
class JudgedLead:
    """The scores (n,) of a lead, and its profile at the end."""

    played: PlayedLead
    scores: NDArray[np.float32]
    rr_seconds: NDArray[np.float32]
    kept: float
    templates: int


def read(path: Path) -> PlayedLead | None:
    """The beats of a recording; None where it has no annotations."""
    names = lead_names(path)
    recording = open_recording(path, lead=next((name for name in PREFERRED if name in names), 0))
    if recording.annotations is None:
        return None
    signal, segmenter = recording.samples, Segmenter(recording.hz)
    size = int(CHUNK_SECONDS * recording.hz)
    chunks = [signal[start : start + size] for start in range(0, len(signal), size)]
    beats = joined([*(segmenter.feed(chunk) for chunk in chunks), segmenter.finish()])
    truth = truth_of(recording.annotations, recording.seconds)
    return PlayedLead(path.stem, truth, beats.time, beats.samples, beats.noise)


def judge(leads: list[PlayedLead], learning_seconds: float, *, noise: bool) -> tuple[list[JudgedLead], float]:
    """The scores of all leads, and the CPU time of a beat in µs."""
    profiles = Profiles(learning_seconds)
    rows = profiles.add(len(leads))
    owner = np.repeat(np.arange(len(leads)), [len(lead.seconds) for lead in leads])
    time_ms = np.rint(1000 * np.concatenate([lead.seconds for lead in leads])).astype(np.int64)
    samples = np.concatenate([lead.samples for lead in leads])
    between_beats = np.concatenate([lead.noise if noise else np.full(len(lead.noise), np.nan) for lead in leads])
    scores, rr = (np.full(len(owner), np.nan, np.float32) for _ in range(2))
    order, began = np.argsort(time_ms, kind="stable"), time.process_time()
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        row = rows[owner[some]]
        rr[some] = profiles.intervals(row, time_ms[some])
        beats = SourceBeats(row, samples[some], time_ms[some], rr[some], between_beats[some])
        scores[some] = profiles.observe(beats).score
    cost = 1e6 * (time.process_time() - began) / max(1, len(order))
    judged = []
    for number, lead in enumerate(leads):
        own, summary = owner == number, profiles.summary(int(rows[number]))
        judged.append(JudgedLead(lead, scores[own], rr[own], summary.kept, len(summary.typical)))
    return judged, cost


def counted(lead: JudgedLead, rule: RunRule, learning_seconds: float) -> Counted:
    """What the rule makes of the scores of a lead."""
    episodes = episodes_of(lead.played.seconds, lead.scores, lead.rr_seconds, rule)
    return count(lead.played.truth, episodes, learning_seconds)


def row(lead: JudgedLead, part: Counted) -> str:
    """One recording as a line of the table."""
    latencies = " ".join(map(str, part.latencies)) or "-"
    runs = f"{part.found} of {part.runs} | {part.long_found} of {part.long_runs}"
    flutter = f"{part.flutters_found} of {part.flutters}"
    name = lead.played.name
    kinds = f"{part.false} | {part.false_unchanged} | {runs} | {latencies} | {flutter}"
    return f"| {name} | {kinds} | {lead.kept:.2f} | {lead.templates} |"


def summary(parts: list[Counted]) -> str:
    """All recordings together, with 90 % ranges over patients."""
    every = total(parts)
    first = bootstrap(parts, lambda one: one.false / one.hours)
    second = bootstrap(parts, lambda one: one.false_unchanged / one.hours)
    runs = f"{every.found} of {every.runs}; of 5 and more: {every.long_found} of {every.long_runs}"
    lines = [
        f"{every.hours:.2f} h judged in {len(parts)} recordings, {every.episodes} episodes",
        f"(a) false episodes an hour: {first.value:.2f} ({first.low:.2f}-{first.high:.2f})",
        f"(b) without annotated changes: {second.value:.2f} ({second.low:.2f}-{second.high:.2f})",
        f"time in false alarm: {every.false_seconds / every.hours:.0f} s an hour",
        f"runs of 3 and more found: {runs}; open by beat 3: {every.prompt} of {every.found}",
        f"fibrillation found: {every.flutters_found} of {every.flutters}; within 10 s: {every.flutters_prompt}",
    ]
    return "\n".join(lines)


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="Folder.")
@click.option("--only", multiple=True, help="Names of recordings.  [default: all but paced ones]")
@click.option("--sensitivity", type=click.Choice(get_args(Sensitivity)), default="normal", show_default=True)
@click.option("--seconds", default=300.0, show_default=True, help="Learning time, which is not judged.")
@click.option("--noise", is_flag=True, help="Use the noise before beats, which `publish` sends along.")
def main(data: Path, only: tuple[str, ...], sensitivity: Sensitivity, seconds: float, *, noise: bool) -> None:
    """Judge every annotated WFDB record in a folder, and print what was found as a table."""
    paths = [path for path in sorted(data.glob("*.hea")) if path.stem in (only or {path.stem} - PACED)]
    leads = [lead for lead in map(read, paths) if lead is not None]
    if not leads:
        raise RefusedError(f"{data}: holds no WFDB record with annotations")
    judged, cost = judge(leads, seconds, noise=noise)
    parts = [counted(lead, RunRule.of(sensitivity), seconds) for lead in judged]
    click.echo(HEAD)
    for lead, part in zip(judged, parts, strict=True):
        click.echo(row(lead, part))
    click.echo(f"\n{summary(parts)}\n{cost:.1f} µs of CPU a beat in batches of {BATCH:,}")


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
