"""One recording through segmenter and step, and what its alarms come to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.run_rule import PRIORITIES, Sensitivity
from monitor.backtest.counting import count
from monitor.backtest.step_player import StepPlan, StepPlayer
from monitor.backtest.truth import Truth, truth_of
from monitor.recordings.player import segmenter_of, segments_of
from monitor.recordings.progress import reported

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.backtest.counting import Counted
    from monitor.backtest.episodes import PlayedEpisode
    from monitor.backtest.verdict_file import VerdictFile
    from monitor.recordings import Recording, Segments

LATE_SECONDS = 60.0  # a profile that is learned so much later than it should be shortens the time that is judged


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """How recordings are judged. The first seconds, from which the profile is learned, are not."""

    sensitivities: tuple[Sensitivity, ...] = ("normal",)  # the rules; the first is that of the list of episodes
    step: StepPlan = field(default_factory=StepPlan)
    noise: bool = True  # whether the noise before beats counts; beats on a topic may come without it

    def of(self, sensitivity: Sensitivity) -> StepPlan:
        """How the step judges with one of the sensitivities."""
        return StepPlan(self.step.settings.model_copy(update={"sensitivity": sensitivity}), self.step.model)


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What became of the lead of one recording."""

    path: Path
    lead: str
    beats: int
    is_annotated: bool
    is_learned: bool  # whether it has a profile
    is_sick: bool  # see `monitor.profiles.Notice`
    kept: float  # share of the beats while it learned that fit a template; NaN where nothing was learned
    templates: int
    counted: tuple[Counted, ...]  # of each sensitivity; without annotations every episode counts as false
    episodes: tuple[PlayedEpisode, ...]  # of the first sensitivity, in the time that is judged
    ectopy: tuple[PlayedEpisode, ...]  # the same of frequent ectopy, which counts nowhere else

    @property
    def longest_seconds(self) -> float | None:
        """How long the longest episode was open; None without one."""
        return max((one.open_seconds for one in self.episodes), default=None)

    @property
    def priority(self) -> str | None:
        """The highest of its episodes; None without one."""
        return max((one.priority for one in self.episodes), key=PRIORITIES.index, default=None)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Some beats in the order of their times."""

    found: Segments

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(n,), of the R peak since the first sample."""
        return self.found.time

    def __len__(self) -> int:
        return len(self.found)


def backtest(recording: Recording, plan: BacktestPlan, verdicts: VerdictFile | None = None) -> BacktestResult:
    """Judge a recording, and collect what the first rule says at each beat in `verdicts`.

    Raises RecordingError for a recording that cannot be cut into beats or is damaged.
    """
    players = [StepPlayer(plan.of(one)) for one in plan.sensitivities]
    beats = 0
    for some in reported(map(_Cut, segments_of(recording, segmenter_of(recording, plan.step.window))), "judged"):
        first, *_ = [player.feed(some.found, noise=plan.noise) for player in players]
        if verdicts is not None:
            verdicts.add(first)
        beats += len(some)
    player, annotations, end = players[0], recording.annotations, recording.seconds
    truth = Truth(end, (), np.empty(0)) if annotations is None else truth_of(annotations, end)
    start, profile = _judged_from(player, plan.step, end), player.profile()
    return BacktestResult(
        path=recording.path,
        lead=recording.lead,
        beats=beats,
        is_annotated=annotations is not None,
        is_learned=player.learned_at is not None,
        is_sick=player.is_sick,
        kept=math.nan if profile is None else profile.kept,
        templates=0 if profile is None else len(profile.typical),
        counted=tuple(count(truth, one.runs.episodes(), start) for one in players),
        episodes=_after(start, player.runs.episodes()),
        ectopy=_after(start, player.ectopy.episodes()),
    )


def _after(second: float, episodes: tuple[PlayedEpisode, ...]) -> tuple[PlayedEpisode, ...]:
    """Those that end after this second."""
    return tuple(one for one in episodes if one.stretches[-1].end > second)


def _judged_from(player: StepPlayer, plan: StepPlan, seconds: float) -> float:
    """The second from which a recording is judged. Without a model, a source without a profile raises no alarm."""
    begin = plan.settings.profile_seconds
    if plan.model is not None:
        return min(begin, seconds)
    if player.learned_at is None:
        return seconds
    return player.learned_at if player.learned_at > begin + LATE_SECONDS else begin
