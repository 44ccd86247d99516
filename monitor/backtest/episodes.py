"""The physiological episodes of one source, from what the step of the monitor says about its beats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import FREQUENT, BeatFlags
from monitor.alarms.run_rule import PRIORITIES

if TYPE_CHECKING:
    from monitor.alarms.rule import EpisodeRule, Event
    from monitor.beats.beat import Beats


@dataclass(frozen=True, slots=True)
class OpenStretch:
    """From an opening to the next closing, seconds. An episode has several where it opened again within 120 s."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class PlayedEpisode:
    """One episode."""

    stretches: tuple[OpenStretch, ...]
    priority: str
    flagged_beats: int

    @property
    def open_seconds(self) -> float:
        """How long it was open, without the time between two openings."""
        return sum(one.end - one.start for one in self.stretches)


def ectopy_alone(flags: BeatFlags) -> BeatFlags:
    """Only frequent ectopy that is not part of a run."""
    none, frequent = BeatFlags.of_population(np.zeros_like(flags.abnormal), flags.unscorable), flags.frequent
    return replace(none, frequent=np.where((frequent == FREQUENT) & (flags.run == 0), frequent, 0).astype(np.int8))


class EpisodePlayer:
    """The monitor's rule over the flags of one source, as they come in. Keeps the episodes.

    The times of the beats are ms since the first sample.
    """

    def __init__(self, rule: EpisodeRule) -> None:
        self._episodes = Episodes(rule)
        self._stretches: dict[int, list[OpenStretch]] = {}  # by the offset of the beat that opened the episode first
        self._facts: dict[int, tuple[int, int]] = {}  # priority and flagged beats
        self._end = 0.0  # second of the last beat

    def feed(self, beats: Beats, flags: BeatFlags) -> list[Event]:
        """Apply the rule to the next n beats; returns the physiological events."""
        if not len(beats):
            return []
        self._end = int(beats.time[-1]) / 1000
        events = [one for one in self._episodes.observe(beats, flags).events if one.kind == "physiological"]
        for event in events:
            opened, second = event.episode.opened_offset, int(beats.time[event.row]) / 1000
            self._facts[opened] = event.episode.priority, event.episode.flagged_beats
            stretches = self._stretches.setdefault(opened, [])
            if event.name == "opened":
                stretches.append(OpenStretch(second, math.inf))
            elif event.name == "closed":
                stretches[-1] = OpenStretch(stretches[-1].start, second)
        return events

    def episodes(self) -> tuple[PlayedEpisode, ...]:
        """All episodes so far; what is open ends at the last beat."""
        return tuple(
            PlayedEpisode(
                tuple(OpenStretch(one.start, min(one.end, self._end)) for one in stretches),
                PRIORITIES[self._facts[opened][0]],
                self._facts[opened][1],
            )
            for opened, stretches in self._stretches.items()
        )
