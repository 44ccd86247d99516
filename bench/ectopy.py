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
from monitor.alarms.rule import BeatFlags
from monitor.backtest import EpisodePlayer, OpenStretch, StepPlan, StepPlayer
from monitor.backtest.episodes import ectopy_alone
from monitor.beats.beat import Beats
from monitor.beats.window import R_CENTRED
from monitor.errors import MonitorError
from monitor.pipeline.personal import episode_rule
from monitor.recordings.beat_symbols import BEAT_SYMBOLS, VENTRICULAR_SYMBOLS
from monitor.recordings.player import segmenter_of, segments_of
from monitor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from monitor.backtest import PlayedEpisode
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
    run: NDArray[np.int32]  # (n,), see `BeatFlags`
    opened: tuple[OpenStretch, ...]  # episodes of frequent ectopy, as the step has them
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
    """What the step of the monitor says about a recording."""
    player = StepPlayer(StepPlan(Settings(profile_seconds=LEARNING_SECONDS)))
    pieces = [player.feed(one) for one in segments_of(recording, segmenter_of(recording, R_CENTRED)) if len(one)]
    seconds = np.concatenate([piece.seconds for piece in pieces])
    later = seconds >= LEARNING_SECONDS
    columns = np.concatenate([piece.scores for piece in pieces]), np.concatenate([piece.flags.run for piece in pieces])
    return PlayedScores(
        recording.path.stem,
        (recording.seconds - LEARNING_SECONDS) / 3600,
        seconds[later],
        *(column[later] for column in columns),
        whole(player.ectopy.episodes()),
        stretches(annotations, VENTRICULAR_SYMBOLS, 5),
        stretches(annotations, ECTOPIC_SYMBOLS, 4),
    )


def whole(episodes: Sequence[PlayedEpisode]) -> tuple[OpenStretch, ...]:
    """From the first opening of each episode to its last closing."""
    return tuple(OpenStretch(one.stretches[0].start, one.stretches[-1].end) for one in episodes)


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


def low_episodes(played: PlayedScores, rule: EctopyRule) -> tuple[OpenStretch, ...]:
    """The episodes of a rule, as the step of the monitor would open and close them."""
    count = len(played.scores)
    source = np.zeros(count, np.int64)
    frequent, _ = ectopy(rule, EctopyCarry.blank(1), source, played.scores, played.run)
    flags = BeatFlags.of_population(np.zeros(count, np.bool_), np.zeros(count, np.int8))
    player = EpisodePlayer(episode_rule(Settings(), profiles=True))
    names, times = np.full(count, b"one", np.object_), np.rint(1000 * played.seconds).astype(np.int64)
    places = np.zeros(count, np.int32), np.arange(count, dtype=np.int64)
    beats = Beats(np.zeros((count, 0), np.float32), names, times, *places, np.full(count, np.nan, np.float32))
    player.feed(beats, ectopy_alone(replace(flags, run=played.run, frequent=frequent)))
    return whole(player.episodes())


def _touches(one: OpenStretch, others: Sequence[OpenStretch]) -> bool:
    return any(one.start <= other.end and other.start <= one.end for other in others)


def count(played: PlayedScores, episodes: Sequence[OpenStretch]) -> EctopyCount:
    """How episodes compare with the annotations."""
    false = [one for one in episodes if not _touches(one, played.ventricular)]
    found = [one for one in played.ventricular if _touches(one, episodes)]
    near = [one for one in false if _touches(one, played.ectopic)]
    return EctopyCount(len(played.ventricular), len(found), len(false), len(near))


def row(played: Sequence[PlayedScores], rule: EctopyRule) -> str:
    """One rule as a line of the table."""
    counts = [count(one, low_episodes(one, rule)) for one in played]
    hours = sum(one.hours for one in played)
    total = {name: sum(getattr(one, name) for one in counts) for name in EctopyCount.__slots__}
    found = f"{total['found']} of {total['stretches']}"
    false, near = total["false"] / hours, total["near"] / hours
    return f"| {rule.least:g} | {rule.flagged} of {rule.window} | {found} | {false:.2f} | {near:.2f} |"


def detail(played: Sequence[PlayedScores]) -> str:
    """What the step comes to, in all and for each recording of which there is anything to say."""
    counts = [(one.name, count(one, one.opened)) for one in played]
    found, false = (sum(getattr(one, name) for _, one in counts) for name in ("found", "false"))
    hours = sum(one.hours for one in played)
    lines = [f"the step: {found} found, {false / hours:.2f} false an hour"] + [
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
    click.echo("\n" + detail(played))


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
