"""The beats of one recording through the step of the monitor, which writes nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.episodes import Episodes
from monitor.alarms.threshold import ActiveThreshold, Thresholds
from monitor.backtest.episodes import EpisodePlayer, ectopy_alone
from monitor.beats.noise_header import noise_headers
from monitor.beats.window import R_CENTRED
from monitor.model.unscored import UnscoredBeats
from monitor.pipeline.personal import PersonalJudge, episode_rule
from monitor.records.column import Column
from monitor.records.record import Records
from monitor.review import Review, ReviewParts, parts_of
from monitor.settings import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.rule import BeatFlags, Event
    from monitor.beats.window import Window
    from monitor.model.manifest import Model
    from monitor.pipeline.step import Judges, Step
    from monitor.profiles.profiles import ProfileSummary
    from monitor.recordings import Segments
    from monitor.settings import Settings

SOURCE = b"recording"


@dataclass(frozen=True, slots=True)
class StepPlan:
    """By what the step judges."""

    settings: Settings = field(default_factory=read)  # rule, sensitivity, seconds of the profile, threshold
    model: Model | None = None  # None: there is no population score, and profiles alone judge

    @property
    def window(self) -> Window:
        """How beats are cut."""
        return R_CENTRED if self.model is None else self.model.manifest.window.cut


@dataclass(frozen=True, slots=True)
class JudgedPiece:
    """n beats in the order of their times, and what the step says about them."""

    seconds: NDArray[np.float64]  # (n,), of the R peak, since the first sample
    scores: NDArray[np.float32]  # (n,), personal; NaN while the source learns
    flags: BeatFlags
    events: list[Event]  # of physiological episodes, frequent ectopy left out

    def __len__(self) -> int:
        return len(self.seconds)


class StepPlayer:
    """One recording through the step. Runs and frequent ectopy are counted each as if the other were not there."""

    def __init__(self, plan: StepPlan) -> None:
        """Raises RefusedError where the device of the model is not there."""
        settings, model = plan.settings, plan.model
        self._topic = settings.beats_topic
        self._parts = _profiles_alone(settings) if model is None else parts_of(settings, model, has_beat_times=True)
        rule = episode_rule(settings, profiles=self._parts.personal is not None)
        self.runs, self.ectopy = EpisodePlayer(rule), EpisodePlayer(rule)
        model_id = "" if model is None else model.manifest.model_id
        self._review = Review(self._parts, settings, model_id, self._add)
        self._review.begin({0: 0})
        self._beats, self._seconds = 0, np.empty(0)  # fed before the last piece; of the beats of that piece
        self._judged: list[JudgedPiece] = []
        self.learned_at: float | None = None  # second of the beat at which the profile was learned
        self.is_sick = False

    def feed(self, found: Segments, *, noise: bool = True) -> JudgedPiece:
        """Judge the next beats. `noise`: whether the noise before them goes along."""
        self._seconds = found.time
        self._review.feed(_records(found, self._beats, self._topic, noise=noise))
        self._review.end()
        self._beats += len(found)
        return self._judged.pop()

    def profile(self) -> ProfileSummary | None:
        """The profile as it is now; None where there is none."""
        personal = self._parts.personal
        return None if personal is None else personal.summary(0, SOURCE)

    def _add(self, step: Step) -> None:
        facts = step.facts
        beats, flags = facts.judged.beats, facts.flags
        for notice in facts.notices:
            if notice.kind in ("learned", "sick-while-learning"):
                self.learned_at = int(beats.time[notice.beat]) / 1000
                self.is_sick |= notice.kind == "sick-while-learning"
        events = self.runs.feed(beats, flags.without_ectopy())
        self.ectopy.feed(beats, ectopy_alone(flags))
        seconds = self._seconds[beats.offset - self._beats]
        self._judged.append(JudgedPiece(seconds, facts.judged.personal, flags, events))


def _profiles_alone(settings: Settings) -> Judges:
    """The parts of a monitor that has no model: no beat is above a threshold."""
    return ReviewParts(
        UnscoredBeats(),
        Thresholds(ActiveThreshold(math.inf, None), np.empty(0)),
        Episodes(episode_rule(settings, profiles=True)),
        PersonalJudge(settings),
    )


def _records(found: Segments, first: int, topic: str, *, noise: bool) -> Records:
    """Beats as records of one partition, from this offset on."""
    n = len(found)
    return Records(
        topic,
        np.zeros(n, np.int32),
        np.arange(first, first + n, dtype=np.int64),
        np.rint(1000 * found.time).astype(np.int64),
        Column.of([SOURCE] * n),
        Column.of([one.astype("<f4").tobytes() for one in found.samples]),
        [noise_headers(one) for one in found.noise.tolist()] if noise else [()] * n,
    )
