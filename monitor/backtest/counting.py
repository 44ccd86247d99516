"""Episodes counted against annotations.

A run is found when an episode is open at one of its beats. An episode that was not open at any beat of a run is false,
whatever caused it; openings within 120 s are one episode, because the rule makes them one. Beside that number stands
the one without episodes that opened at an annotated change of rhythm or conduction. Time while a source learns does not
count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.recordings.beat_symbols import REACH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.backtest.episodes import PlayedEpisode
    from monitor.backtest.truth import AnnotatedRun, Truth

CHANGE_SECONDS = 15.0  # an opening so near to an annotated change is one at that change
LONG_RUN = 5  # beats
PROMPT_BEATS = 3  # a run is found promptly when an episode is open by this beat
PROMPT_FLUTTER_SECONDS = 10.0
SAMPLES = 2000  # of the bootstrap


@dataclass(frozen=True, slots=True)
class Counted:
    """What the alarms of one recording, or of several, came to."""

    hours: float
    episodes: int
    false: int  # without a run
    false_unchanged: int  # of these, those that did not open at an annotated change of rhythm or conduction
    false_seconds: float  # while such an episode was open
    runs: int  # of three ventricular beats and more
    found: int
    long_runs: int  # of five and more
    long_found: int
    prompt: int  # of the runs that were found, those where an episode was open by the third beat
    latencies: tuple[int, ...]  # beat of each found run at which an episode was open, from 1
    flutters: int  # stretches of fibrillation or flutter of 5 s and more
    flutters_found: int
    flutters_prompt: int  # within 10 s


class Range(NamedTuple):
    """A figure with the 5th and 95th percentile of its bootstrap."""

    value: float
    low: float
    high: float


def count(truth: Truth, episodes: Sequence[PlayedEpisode], from_seconds: float) -> Counted:
    """Count the episodes of a recording from this second on."""
    later = [one for one in episodes if one.stretches[-1].end > from_seconds]
    runs = [run for run in truth.runs if run.seconds[0] >= from_seconds]
    false = [one for one in later if not any(_is_open_in(one, run) for run in truth.runs)]
    unchanged = [one for one in false if not _is_at_change(one, truth)]
    beats = [run for run in runs if run.beats]
    latencies = {id(run): latency for run in runs if (latency := _latency(later, run)) is not None}
    found = [latencies[id(run)] for run in beats if id(run) in latencies]
    waits = [latencies[id(run)] for run in runs if not run.beats and id(run) in latencies]
    long = [run for run in beats if run.beats >= LONG_RUN]
    return Counted(
        hours=max(0.0, truth.seconds - from_seconds) / 3600,
        episodes=len(later),
        false=len(false),
        false_unchanged=len(unchanged),
        false_seconds=sum(
            max(0.0, part.end - max(part.start, from_seconds)) for one in false for part in one.stretches
        ),
        runs=len(beats),
        found=len(found),
        long_runs=len(long),
        long_found=sum(id(run) in latencies for run in long),
        prompt=sum(latency <= PROMPT_BEATS for latency in found),
        latencies=tuple(found),
        flutters=len(runs) - len(beats),
        flutters_found=len(waits),
        flutters_prompt=sum(wait <= PROMPT_FLUTTER_SECONDS for wait in waits),
    )


def _is_open_in(episode: PlayedEpisode, run: AnnotatedRun) -> bool:
    """Whether an episode is open at a beat of a run."""
    return _latency([episode], run) is not None


def _latency(episodes: Sequence[PlayedEpisode], run: AnnotatedRun) -> int | None:
    """The first beat of a run at which an episode is open, from 1; None if there is none."""
    is_open = np.zeros(len(run.seconds), np.bool_)
    for part in (part for episode in episodes for part in episode.stretches):
        is_open |= (run.seconds >= part.start - REACH_SECONDS) & (run.seconds <= part.end + REACH_SECONDS)
    return int(is_open.argmax()) + 1 if is_open.any() else None


def _is_at_change(episode: PlayedEpisode, truth: Truth) -> bool:
    return bool(np.any(np.abs(truth.changes - episode.stretches[0].start) <= CHANGE_SECONDS))


def total(parts: Sequence[Counted]) -> Counted:
    """Several recordings together."""
    sums = {name: sum(getattr(part, name) for part in parts) for name in Counted.__slots__ if name != "latencies"}
    return Counted(**sums, latencies=tuple(latency for part in parts for latency in part.latencies))


def bootstrap(parts: Sequence[Counted], figure: Callable[[Counted], float], seed: int = 0) -> Range:
    """A figure of all recordings, and its 90 % range over random choices of them. A recording stands for a patient."""
    random = np.random.default_rng(seed)
    chosen = random.integers(len(parts), size=(SAMPLES, len(parts)))
    values = [figure(total([parts[one] for one in row])) for row in chosen.tolist()]
    low, high = np.nanquantile(values, [0.05, 0.95])
    return Range(figure(total(parts)), float(low), float(high))
