"""One recording through segmenter, profile and the rule `run`, and what its alarms come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.run_rule import PRIORITIES, RunRule, Sensitivity
from monitor.backtest.counting import count
from monitor.backtest.episodes import RulePlayer
from monitor.backtest.lead import LeadPlayer
from monitor.backtest.truth import Truth, truth_of
from monitor.recordings.progress import reported

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.backtest.counting import Counted
    from monitor.backtest.episodes import PlayedEpisode
    from monitor.backtest.verdict_file import VerdictFile
    from monitor.recordings import Recording

LATE_SECONDS = 60.0  # a profile that is learned so much later than it should be shortens the time that is judged


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """How recordings are judged."""

    sensitivities: tuple[Sensitivity, ...] = ("normal",)  # the rules; the first is that of the list of episodes
    profile_seconds: float = 300.0  # from which the profile is learned, and which are not judged
    noise: bool = True  # whether the noise before beats counts; beats on a topic may come without it


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What became of the lead of one recording."""

    path: Path
    lead: str
    beats: int
    is_annotated: bool
    is_learned: bool  # else nothing was judged
    is_sick: bool  # see `monitor.profiles.Notice`
    kept: float  # share of the beats while it learned that fit a template; NaN where nothing was learned
    templates: int
    counted: tuple[Counted, ...]  # of each sensitivity; without annotations every episode counts as false
    episodes: tuple[PlayedEpisode, ...]  # of the first sensitivity, in the time that is judged

    @property
    def longest_seconds(self) -> float | None:
        """How long the longest episode was open; None without one."""
        return max((one.open_seconds for one in self.episodes), default=None)

    @property
    def priority(self) -> str | None:
        """The highest of its episodes; None without one."""
        return max((one.priority for one in self.episodes), key=PRIORITIES.index, default=None)


def backtest(recording: Recording, plan: BacktestPlan, verdicts: VerdictFile | None = None) -> BacktestResult:
    """Judge a recording, and collect what the first rule says at each beat in `verdicts`.

    Raises RecordingError for a recording that cannot be cut into beats or is damaged.
    """
    lead = LeadPlayer(recording, plan.profile_seconds, noise=plan.noise)
    players = [RulePlayer(RunRule.of(one)) for one in plan.sensitivities]
    beats = 0
    for judged in reported(lead.beats(), "judged"):
        first, *_ = [player.feed(judged) for player in players]
        if verdicts is not None:
            verdicts.add(judged, first)
        beats += len(judged)
    annotations, profile = recording.annotations, lead.profile()
    nothing = Truth(recording.seconds, (), np.empty(0))
    truth = nothing if annotations is None else truth_of(annotations, recording.seconds)
    start = _judged_from(lead.learned_at, plan.profile_seconds, recording.seconds)
    return BacktestResult(
        path=recording.path,
        lead=recording.lead,
        beats=beats,
        is_annotated=annotations is not None,
        is_learned=lead.learned_at is not None,
        is_sick=profile.is_sick,
        kept=profile.kept,
        templates=len(profile.typical),
        counted=tuple(count(truth, player.episodes(), start) for player in players),
        episodes=tuple(one for one in players[0].episodes() if one.stretches[-1].end > start),
    )


def _judged_from(learned_at: float | None, profile_seconds: float, seconds: float) -> float:
    """The second from which a recording is judged. A source without a profile raises no alarm, so it is not judged."""
    if learned_at is None:
        return seconds
    return learned_at if learned_at > profile_seconds + LATE_SECONDS else profile_seconds
