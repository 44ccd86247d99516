"""A period of the beats topic, judged by the daemon's step. Nothing is written."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from monitor.broker import PeriodReader, Reader, has_beat_times
from monitor.daemon import tune_memory
from monitor.model import artifact
from monitor.pipeline.personal import episode_rule
from monitor.publishing.status_line import StatusLine
from monitor.records.record import ControlRecord
from monitor.review.annotated import AnnotatedCounts, AnnotatedRuns
from monitor.review.parts import parts_of
from monitor.review.review import Review
from monitor.review.tally import Tally
from monitor.stop_request import StopRequest
from monitor.terminal import count_of

if TYPE_CHECKING:
    from monitor.alarms.threshold import Thresholds
    from monitor.pipeline.step import Step
    from monitor.settings import Settings


@dataclass(frozen=True, slots=True)
class PeriodPlan:
    """Which beats are judged. Times are ms since the epoch."""

    from_ms: int
    to_ms: int
    source: str | None = None  # that is counted; None counts all
    own_threshold: bool = False  # whether the settings' threshold holds for all, whatever the control topic says


@dataclass(frozen=True, slots=True)
class TopicReview:
    """What came of a period."""

    tally: Tally
    annotated: AnnotatedCounts
    model_id: str
    threshold: float  # of the population score, for sources that have none of their own
    has_profiles: bool
    is_complete: bool  # else a signal ended it early


def review_topic(settings: Settings, plan: PeriodPlan) -> TopicReview:
    """Judge a period of the beats topic. SIGINT ends it early.

    Raises RefusedError where the model or a setting cannot be used, BrokerError when Kafka does not answer.
    """
    model = artifact.load(settings.model, settings.device)
    parts = parts_of(settings, model, has_beat_times=has_beat_times(settings))
    if not plan.own_threshold:
        _read_thresholds(settings, parts.thresholds)
    only = None if plan.source is None else plan.source.encode()
    tally = Tally(settings.alerts_topic, round(1000 * settings.episode_silence_seconds), only)
    has_profiles = parts.personal is not None
    annotated = AnnotatedRuns(episode_rule(settings, profiles=has_profiles), has_profiles=has_profiles, only=only)

    def count(step: Step) -> None:
        tally.add(step)
        annotated.add(step)

    review = Review(parts, settings, model.manifest.model_id, count)
    tune_memory()
    reader = PeriodReader(settings, settings.beats_topic, plan.from_ms, plan.to_ms)
    with closing(reader), StopRequest() as stop, suppress(KeyboardInterrupt):
        _judge(reader, review, annotated, stop)
    return TopicReview(
        tally,
        annotated.counts,
        model.manifest.model_id,
        parts.thresholds.value,
        has_profiles,
        not stop.is_made,
    )


def _judge(reader: PeriodReader, review: Review, annotated: AnnotatedRuns, stop: StopRequest) -> None:
    review.begin(reader.firsts)
    judged, status = 0, StatusLine()
    for records in reader.steps():
        if len(records):
            annotated.note(records)
            review.feed(records)
        judged += len(records)
        share = judged / max(1, reader.count)
        status.show(partial("{} judged, {:.0%}".format, count_of(judged, "record"), share))
        if stop.is_made:
            break
    review.end()


def _read_thresholds(settings: Settings, thresholds: Thresholds) -> None:
    """Apply what the control topic says now, as a monitor that starts does."""
    with Reader(settings, settings.control_topic, from_beginning=True) as reader:
        for record in reader.until_end():
            thresholds.apply(ControlRecord(record.key, record.value, record.offset))
