"""A recording through the step of the monitor: by the population score, by its profile where the model has any."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.run_rule import PRIORITIES
from monitor.backtest.counting import count
from monitor.backtest.episodes import OpenStretch, PlayedEpisode
from monitor.backtest.playing import BacktestResult
from monitor.backtest.truth import Truth, truth_of
from monitor.beats.noise_header import noise_headers
from monitor.recordings.player import segmenter_of, segments_of
from monitor.recordings.progress import reported
from monitor.records.column import Column
from monitor.records.record import Records
from monitor.review import Review, parts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.model.manifest import Model
    from monitor.pipeline.step import Step
    from monitor.recordings import Recording, Segments
    from monitor.settings import Settings

SOURCE = b"recording"


@dataclass(frozen=True, slots=True)
class StepPlan:
    """By what recordings are judged."""

    settings: Settings  # rule, sensitivity, seconds of the profile, threshold
    model: Model


@dataclass(frozen=True, slots=True)
class CutBeats:
    """Some beats in the order of their times."""

    found: Segments

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(n,), of the R peak since the first sample."""
        return self.found.time

    def __len__(self) -> int:
        return len(self.found)


class StepEpisodes:
    """The physiological episodes among the events of steps. The times of their beats are ms since the first sample."""

    def __init__(self) -> None:
        self._stretches: dict[int, list[OpenStretch]] = {}  # by the offset of the beat that opened it first
        self._facts: dict[int, tuple[int, int]] = {}  # priority and flagged beats
        self.learned = self.sick = False

    def add(self, step: Step) -> None:
        """Add what a step says."""
        for notice in step.facts.notices:
            self.learned |= notice.kind in ("learned", "sick-while-learning")
            self.sick |= notice.kind == "sick-while-learning"
        times = step.facts.judged.beats.time
        for event in step.facts.events:
            if event.kind != "physiological":
                continue
            opened, second = event.episode.opened_offset, int(times[event.row]) / 1000
            self._facts[opened] = event.episode.priority, event.episode.flagged_beats
            stretches = self._stretches.setdefault(opened, [])
            if event.name == "opened":
                stretches.append(OpenStretch(second, math.inf))
            elif event.name == "closed":
                stretches[-1] = OpenStretch(stretches[-1].start, second)

    def episodes(self, end: float) -> tuple[PlayedEpisode, ...]:
        """All episodes; what is open ends at this second."""
        return tuple(
            PlayedEpisode(
                tuple(OpenStretch(one.start, min(one.end, end)) for one in stretches),
                PRIORITIES[self._facts[opened][0]],
                self._facts[opened][1],
            )
            for opened, stretches in self._stretches.items()
        )


def backtest_by_step(recording: Recording, plan: StepPlan) -> BacktestResult:
    """Judge a recording. Its first seconds, from which a profile is learned, do not count, whatever judges it.

    Raises RecordingError for a recording that cannot be cut into beats or is damaged.
    """
    settings, model = plan.settings, plan.model
    found = StepEpisodes()
    parts = parts_of(settings, model, has_beat_times=True)
    review = Review(parts, settings, model.manifest.model_id, found.add)
    review.begin({0: 0})
    beats = 0
    cut = segments_of(recording, segmenter_of(recording, model.manifest.window.cut))
    for some in reported(map(CutBeats, cut), "judged"):
        if len(some):
            review.feed(_records(some.found, beats, settings.beats_topic))
        beats += len(some)
    review.end()
    annotations, end = recording.annotations, recording.seconds
    truth = Truth(end, (), np.empty(0)) if annotations is None else truth_of(annotations, end)
    start, episodes = min(settings.profile_seconds, end), found.episodes(end)
    return BacktestResult(
        path=recording.path,
        lead=recording.lead,
        beats=beats,
        is_annotated=annotations is not None,
        is_learned=found.learned,
        is_sick=found.sick,
        kept=math.nan,
        templates=0,
        counted=(count(truth, episodes, start),),
        episodes=tuple(one for one in episodes if one.stretches[-1].end > start),
    )


def _records(found: Segments, first: int, topic: str) -> Records:
    """Beats as records of one partition, from this offset on."""
    n = len(found)
    return Records(
        topic,
        np.zeros(n, np.int32),
        np.arange(first, first + n, dtype=np.int64),
        np.rint(1000 * found.time).astype(np.int64),
        Column.of([SOURCE] * n),
        Column.of([one.astype("<f4").tobytes() for one in found.samples]),
        [noise_headers(noise) for noise in found.noise.tolist()],
    )
