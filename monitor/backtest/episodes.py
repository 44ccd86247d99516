"""The rule `run` over the scores of one source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.run_rule import PRIORITIES, QUIET_RUN, RunRule, RunState, ScoredBeat, after_scored_beat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.run_rule import RunEvent


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


def episodes_of(
    seconds: NDArray[np.float64],
    scores: NDArray[np.float32],
    rr_seconds: NDArray[np.float32],
    rule: RunRule,
    abnormal: NDArray[np.bool_] | None = None,
) -> list[PlayedEpisode]:
    """The episodes of n beats of one source in order. Scores are NaN while it learns; `abnormal` decides there."""
    is_abnormal = np.zeros(len(seconds), np.bool_) if abnormal is None else abnormal
    rr_ms = np.nan_to_num(1000 * rr_seconds.astype(np.float64)).astype(np.int64).tolist()
    columns = zip(seconds.tolist(), scores.tolist(), rr_ms, is_abnormal.tolist(), strict=True)
    state, played = QUIET_RUN, _Played()
    for offset, (second, score, rr, flag) in enumerate(columns):
        known = None if math.isnan(score) else score
        state, event = after_scored_beat(state, rule, ScoredBeat(offset, round(1000 * second), known, rr, flag))
        played.note(second, state, event)
    return played.episodes(float(seconds[-1]) if len(seconds) else 0.0)


class _Played:
    """Episodes so far; the last one may still be open."""

    def __init__(self) -> None:
        self._stretches: list[list[list[float]]] = []  # of each episode, of each stretch: start and end
        self._states: list[RunState] = []  # of each episode, the last known

    def note(self, second: float, state: RunState, event: RunEvent | None) -> None:
        if event == "opened":
            self._stretches.append([[second, math.inf]])
            self._states.append(state)
        elif event == "reopened":
            self._stretches[-1].append([second, math.inf])
        elif event == "closed":
            self._stretches[-1][-1][1] = second
        if state.is_open or event == "closed":
            self._states[-1] = state

    def episodes(self, end: float) -> list[PlayedEpisode]:
        """All of them; what is open ends at the last beat."""
        return [
            PlayedEpisode(
                tuple(OpenStretch(first, min(last, end)) for first, last in stretches),
                PRIORITIES[state.priority],
                state.flagged_beats,
            )
            for stretches, state in zip(self._stretches, self._states, strict=True)
        ]
