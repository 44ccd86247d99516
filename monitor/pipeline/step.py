"""Turns the records of one poll into a checkpoint that can be delivered: parse, score, judge, encode."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms import alert, episode_state
from monitor.alarms.alert import AlertOrigin, Waveform
from monitor.alarms.judged import JudgedBeats
from monitor.alarms.rule import BeatFlags
from monitor.beats.parse import parse
from monitor.deadletters.letter import RejectedRecord, dead_letter
from monitor.model.scorer import CAUSES, Scores
from monitor.records.record import Checkpoint, Message, partition_slices
from monitor.telemetry.facts import StepFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from monitor.alarms.episode_state import Restored
    from monitor.alarms.episodes import Episodes, Observed
    from monitor.alarms.rule import Event
    from monitor.alarms.threshold import Thresholds
    from monitor.beats.beat import Beats
    from monitor.broker import Broker
    from monitor.model.scorer import Scorer
    from monitor.records.record import Records
    from monitor.records.stream_time import StreamTime
    from monitor.settings import Settings
    from monitor.telemetry.clock import Clock
    from monitor.telemetry.facts import Stage
    from monitor.telemetry.recorder import Recorder

_CAUSES = ("", *CAUSES)


@dataclass(frozen=True, slots=True)
class Components:
    """The parts that the loop and the pipeline work with."""

    broker: Broker
    scorer: Scorer
    thresholds: Thresholds
    episodes: Episodes
    recorder: Recorder


@dataclass(frozen=True, slots=True)
class Parsed:
    """The records of one poll as beats and dead letters, before scoring.

    The records themselves are not kept: they would keep the whole answers of the broker in memory.
    """

    beats: Beats
    letters: list[RejectedRecord]
    offsets: Mapping[int, int]  # partition -> offset of the next record to read
    shed: Counter[int]  # partition -> records left out because they are too old
    started: float  # monotonic seconds when the records had been read
    seconds: Mapping[Stage, float]
    scores: Future[Scores] | None = None  # where the beats are being scored in the background


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one batch: the checkpoint to deliver, and the facts to count once it is delivered."""

    checkpoint: Checkpoint
    facts: StepFacts


class Pipeline:
    """Takes records through the stages."""

    def __init__(self, components: Components, settings: Settings, model_id: str, clock: Clock) -> None:
        self._scorer = components.scorer
        self._thresholds = components.thresholds
        self._episodes = components.episodes
        self._settings, self._clock = settings, clock
        self._origin = AlertOrigin(settings.beats_topic, model_id)
        self._thread = ThreadPoolExecutor(1, "score")
        self._outdated: dict[int, Iterable[bytes]] = {}  # partition -> sources whose stored state is to be deleted

    def revoke(self, partition: int) -> None:
        """Forget a partition that another member reads now."""
        self._episodes.revoke(partition)
        self._outdated.pop(partition, None)

    def assign(self, partition: int, stream_time: StreamTime | None, restored: Restored) -> None:
        """Start to read a partition, or read it again from an earlier offset, with the restored state.

        `stream_time` is that before this offset; None if it is not known.
        """
        self._episodes.assign(partition, stream_time, restored.sources, restored.outdated)
        self._outdated[partition] = restored.outdated

    def parse(self, records: Records) -> Parsed:
        """The beats among the records, and a dead letter for every other record."""
        started = self._clock.monotonic()
        offsets = {
            partition: int(records.offset[rows.stop - 1]) + 1 for partition, rows in partition_slices(records.partition)
        }
        young = self._young(records)
        beats, rejected = parse(young)
        topic, now_ms = self._settings.dead_letters_topic, int(1000 * self._clock.wall())
        letters = [
            RejectedRecord(int(young.partition[one.row]), one.reason, dead_letter(young, one, topic, now_ms))
            for one in rejected
        ]
        shed = _counts(records) - _counts(young)
        return Parsed(beats, letters, offsets, shed, started, {"parse": self._clock.monotonic() - started})

    def _young(self, records: Records) -> Records:
        """The records without those older than MONITOR_MAX_AGE_SECONDS; all where it is not set.

        The age of a record without a time is not known: it stays.
        """
        limit = self._settings.max_age_seconds
        if limit is None:
            return records
        keep = (records.time >= 1000 * (self._clock.wall() - limit)) | (records.time < 0)
        return records if keep.all() else records.select(keep)

    def start_scoring(self, parsed: Parsed) -> Parsed:
        """Score the beats on another thread while this one does something else."""
        return replace(parsed, scores=self._thread.submit(self._scorer.score, parsed.beats.samples))

    def finish(self, parsed: Parsed, dropped: Collection[int] = ()) -> Step:
        """Score, judge and encode.

        Records of the partitions in `dropped` are left out: they will be read again, by this member or by another.
        An exception of the scoring thread is raised here.
        """
        started = self._clock.monotonic()
        scores = self._scorer.score(parsed.beats.samples) if parsed.scores is None else parsed.scores.result()
        scored = self._clock.monotonic()
        if not parsed.offsets.keys().isdisjoint(dropped):
            parsed, scores = _without(dropped, parsed, scores)
        judged = self._judge(parsed.beats, scores)
        observed = self._episodes.observe(parsed.beats, BeatFlags.of_population(judged.abnormal, judged.cause_code))
        observed_at = self._clock.monotonic()
        checkpoint = self._checkpoint(parsed, judged, observed)
        stages: dict[Stage, float] = {
            "score": scored - started,
            "judge": observed_at - scored,
            "encode": self._clock.monotonic() - observed_at,
        }
        small = replace(judged, beats=replace(parsed.beats, samples=parsed.beats.samples[:0].copy()))
        reasons = tuple(letter.reason for letter in parsed.letters)
        times = {**parsed.seconds, **stages}
        shed, far_ahead = parsed.shed.total(), observed.far_ahead
        return Step(checkpoint, StepFacts(small, observed.events, reasons, shed, far_ahead, parsed.started, times))

    def _judge(self, beats: Beats, scores: Scores) -> JudgedBeats:
        verdicts = self._thresholds.judge(beats.source, scores.score)
        columns = verdicts.p_value, verdicts.threshold, verdicts.abnormal
        none, population = np.full(len(beats), np.nan, np.float32), np.zeros(len(beats), np.bool_)
        return JudgedBeats(beats, scores.score, *columns, _CAUSES, scores.cause, none, population)

    def _checkpoint(self, parsed: Parsed, judged: JudgedBeats, observed: Observed) -> Checkpoint:
        """The alerts, the scores if MONITOR_SCORES is set, dead letters, episode state and offsets of the step."""
        settings, offsets = self._settings, parsed.offsets
        messages = self._alerts(observed.events, judged)
        if settings.scores:
            messages += alert.scores(judged, settings.scores_topic)
        messages += [letter.message for letter in parsed.letters]
        # their episodes close at a beat
        due = {
            one: self._outdated.pop(one) for one, _ in partition_slices(judged.beats.partition) if one in self._outdated
        }
        written, deleted = episode_state.rows(observed.changes, due, settings.state_topic_name, settings.group_id)
        stream_times = {partition: self._episodes.stream_time(partition) for partition in offsets}
        known = {partition: time for partition, time in stream_times.items() if time is not None}
        return Checkpoint((*messages, *written), deleted, offsets, known)

    def _alerts(self, events: list[Event], judged: JudgedBeats) -> list[Message]:
        """One message an event; the beat of a physiological one comes with its reconstruction, unless it is the end."""
        if not events:  # most steps: do not even call the network with an empty batch
            return []
        rows = [event.row for event in events if event.name != "closed" and event.kind == "physiological"]
        explained = self._scorer.explain(judged.beats.samples[rows])
        samples, reconstructions = alert.rounded(explained.samples), alert.rounded(explained.reconstruction)
        waveforms = dict(zip(rows, map(Waveform, samples, reconstructions), strict=True))
        topic, threshold_of = self._settings.alerts_topic, self._thresholds.for_source
        return [
            Message(
                topic,
                event.source,
                alert.alert(
                    event, judged, alert.waveform(event, judged, waveforms), self._origin, threshold_of(event.source)
                ),
            )
            for event in events
        ]


def _counts(records: Records) -> Counter[int]:
    """Records by partition."""
    return Counter({partition: rows.stop - rows.start for partition, rows in partition_slices(records.partition)})


def _without(dropped: Collection[int], parsed: Parsed, scores: Scores) -> tuple[Parsed, Scores]:
    """The same without the records of the partitions in `dropped`."""
    keep = ~np.isin(parsed.beats.partition, list(dropped))
    letters = [letter for letter in parsed.letters if letter.partition not in dropped]
    offsets = {partition: offset for partition, offset in parsed.offsets.items() if partition not in dropped}
    shed = Counter({partition: count for partition, count in parsed.shed.items() if partition not in dropped})
    rest = replace(parsed, beats=parsed.beats.select(keep), letters=letters, offsets=offsets, shed=shed)
    return rest, Scores(scores.score[keep], scores.cause[keep])
