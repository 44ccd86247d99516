"""`python -m bench.ectopy --data FOLDER`: frequent ectopy on recordings, for several rules, held against annotations.

A stretch is the time in which at least five of the last ten annotated beats are ventricular; those within 120 s of each
other are one. It is found when an episode of low priority is open in it. An episode away from all stretches is false;
*near* are those of them at which four of ten beats are ectopic in any way. Prints what docs/experiments.md shows.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from bench.alarms import PACED, opened
from monitor.alarms.recent.ectopy import EctopyCarry, EctopyRule, ectopy
from monitor.alarms.run_rule import MERGE_MS, RunRule
from monitor.backtest import LeadPlayer, OpenStretch, RulePlayer
from monitor.errors import MonitorError
from monitor.recordings.beat_symbols import BEAT_SYMBOLS, VENTRICULAR_SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from monitor.recordings import Annotations, Recording

LEARNING_SECONDS = 300.0
JOINED_SECONDS = 120.0
ECTOPIC_SYMBOLS = frozenset(VENTRICULAR_SYMBOLS) | frozenset("AaJSF")
LEAST_SCORES = (1.4, 2.0, 2.6, 3.0, 3.4, 4.0)
WINDOWS = ((4, 8), (4, 10), (5, 10), (5, 12), (6, 12))
HEAD = "| least score | of | stretches found | false an hour | of these near |\n|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class PlayedScores:
    """One recording after the learning time: n beats, and what is open or annotated."""

    name: str
    hours: float
    seconds: NDArray[np.float64]  # (n,)
    scores: NDArray[np.float32]  # (n,)
    runs: tuple[OpenStretch, ...]  # episodes of the rule `run`
    ventricular: tuple[OpenStretch, ...]
    ectopic: tuple[OpenStretch, ...]  # four of ten, of any kind


@dataclass(frozen=True, slots=True)
class EctopyCount:
    """What a rule comes to."""

    stretches: int
    found: int
    false: int
    near: int


def read(recording: Recording, annotations: Annotations) -> PlayedScores:
    """The scores of a recording."""
    player, lead = RulePlayer(RunRule()), LeadPlayer(recording, LEARNING_SECONDS, noise=True)
    pieces = list(lead.beats())
    for piece in pieces:
        player.feed(piece)
    seconds = np.concatenate([piece.seconds for piece in pieces])
    scores = np.concatenate([piece.scores for piece in pieces])
    later = seconds >= LEARNING_SECONDS
    return PlayedScores(
        recording.path.stem,
        (recording.seconds - LEARNING_SECONDS) / 3600,
        seconds[later],
        scores[later],
        tuple(part for episode in player.episodes() for part in episode.stretches),
        stretches(annotations, VENTRICULAR_SYMBOLS, 5),
        stretches(annotations, ECTOPIC_SYMBOLS, 4),
    )


def stretches(annotations: Annotations, symbols: Collection[str], least: int) -> tuple[OpenStretch, ...]:
    """When so many of the last ten beats had one of these symbols, after the learning time."""
    pairs = zip(annotations.seconds.tolist(), annotations.symbols, strict=True)
    beats = [(time, symbol in symbols) for time, symbol in pairs if symbol in BEAT_SYMBOLS]
    found: list[OpenStretch] = []
    for place in range(9, len(beats)):
        last = beats[place - 9 : place + 1]
        if sum(is_one for _, is_one in last) < least or last[-1][0] < LEARNING_SECONDS:
            continue
        if found and last[-1][0] - found[-1].end <= JOINED_SECONDS:
            found[-1] = OpenStretch(found[-1].start, last[-1][0])
        else:
            found.append(OpenStretch(last[0][0], last[-1][0]))
    return tuple(found)


def low_episodes(played: PlayedScores, rule: EctopyRule) -> list[OpenStretch]:
    """The episodes of a rule, from the first opening to the last closing; none opens while one of a run is open."""
    sources = np.zeros(len(played.scores), np.int64)
    frequent, _ = ectopy(rule, EctopyCarry.blank(1), sources, played.scores, sources)
    found: list[OpenStretch] = []
    is_open, others = False, 0
    for second, is_flagged in zip(played.seconds.tolist(), (frequent > 0).tolist(), strict=True):
        others = 0 if is_flagged else others + 1
        if is_open:
            found[-1], is_open = OpenStretch(found[-1].start, second), others < rule.after_run
        elif is_flagged and not _touches(OpenStretch(second, second), played.runs):
            is_open = True
            if not found or 1000 * (second - found[-1].end) > MERGE_MS:
                found.append(OpenStretch(second, second))
    return found


def _touches(one: OpenStretch, others: Sequence[OpenStretch]) -> bool:
    return any(one.start <= other.end and other.start <= one.end for other in others)


def count(played: PlayedScores, rule: EctopyRule) -> EctopyCount:
    """How the episodes of a rule compare with the annotations."""
    episodes = low_episodes(played, rule)
    false = [one for one in episodes if not _touches(one, played.ventricular)]
    found = [one for one in played.ventricular if _touches(one, episodes)]
    near = [one for one in false if _touches(one, played.ectopic)]
    return EctopyCount(len(played.ventricular), len(found), len(false), len(near))


def row(played: Sequence[PlayedScores], rule: EctopyRule) -> str:
    """One rule as a line of the table."""
    counts = [count(one, rule) for one in played]
    hours = sum(one.hours for one in played)
    total = {name: sum(getattr(one, name) for one in counts) for name in EctopyCount.__slots__}
    found = f"{total['found']} of {total['stretches']}"
    false, near = total["false"] / hours, total["near"] / hours
    return f"| {rule.least:g} | {rule.flagged} of {rule.window} | {found} | {false:.2f} | {near:.2f} |"


def detail(played: Sequence[PlayedScores], rule: EctopyRule) -> str:
    """What the rule comes to for each recording of which there is anything to say."""
    counts = [(one.name, count(one, rule)) for one in played]
    lines = [
        f"{name}: {one.found} of {one.stretches} found, {one.false} false, {one.near} of them near"
        for name, one in counts
        if one.stretches or one.false
    ]
    return "\n".join(lines)


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="Folder.")
def main(data: Path) -> None:
    """Try several rules on every annotated WFDB record in a folder, and print what they find as a table."""
    paths = [path for path in sorted(data.glob("*.hea")) if path.stem not in PACED]
    recordings = map(opened, paths)
    played = [read(one, one.annotations) for one in recordings if one.annotations is not None]
    click.echo(HEAD)
    for least, (flagged, window) in itertools.product(LEAST_SCORES, WINDOWS):
        click.echo(row(played, replace(EctopyRule(), least=least, flagged=flagged, window=window)))
    click.echo("\n" + detail(played, EctopyRule()))


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
