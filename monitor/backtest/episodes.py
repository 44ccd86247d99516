"""The rule `run` over the scores of one source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.run_rule import PRIORITIES, QUIET_RUN, RunEvent, ScoredBeat, after_scored_beat

if TYPE_CHECKING:
    from monitor.alarms.run_rule import RunRule, RunState
    from monitor.backtest.lead import LeadScores


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


class Verdict(NamedTuple):
    """What the rule says at one beat."""

    is_flagged: bool
    event: RunEvent | None
    priority: str  # of the episode; counts only where there is an event


class RulePlayer:
    """The rule over the beats of one source, as they come in. Keeps the episodes."""

    def __init__(self, rule: RunRule) -> None:
        self._rule, self._state = rule, QUIET_RUN
        self._beats, self._end = 0, 0.0  # beats so far, second of the last one
        self._stretches: list[list[OpenStretch]] = []  # of each episode; the last one may be open, then it has no end
        self._states: list[RunState] = []  # of each episode, the last known

    def feed(self, beats: LeadScores) -> list[Verdict]:
        """Apply the rule to the next n beats; returns n verdicts. While a source learns, its beats say nothing."""
        rr_ms = np.nan_to_num(1000 * beats.rr_seconds.astype(np.float64)).astype(np.int64).tolist()
        columns = zip(beats.seconds.tolist(), beats.scores.tolist(), rr_ms, strict=True)
        return [self._verdict(*column) for column in columns]

    def _verdict(self, second: float, score: float, rr_ms: int) -> Verdict:
        beat = ScoredBeat(self._beats, round(1000 * second), None if math.isnan(score) else score, rr_ms)
        state, event = after_scored_beat(self._state, self._rule, beat)
        self._state, self._end = state, second
        self._beats += 1
        self._note(second, event)
        return Verdict(state.run > 0, event, PRIORITIES[state.priority])

    def _note(self, second: float, event: RunEvent | None) -> None:
        if event == "opened":
            self._stretches.append([])
            self._states.append(self._state)
        if event in ("opened", "reopened"):
            self._stretches[-1].append(OpenStretch(second, math.inf))
        elif event == "closed":
            self._stretches[-1][-1] = OpenStretch(self._stretches[-1][-1].start, second)
        if self._state.is_open or event == "closed":
            self._states[-1] = self._state

    def episodes(self) -> tuple[PlayedEpisode, ...]:
        """All episodes so far; what is open ends at the last beat."""
        return tuple(
            PlayedEpisode(
                tuple(OpenStretch(one.start, min(one.end, self._end)) for one in stretches),
                PRIORITIES[state.priority],
                state.flagged_beats,
            )
            for stretches, state in zip(self._stretches, self._states, strict=True)
        )
