"""What is made of the records of one poll until they can be delivered: parse, score, judge, observe, encode."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms import alert, episode_state
from monitor.alarms.alert import AlertOrigin, Waveform
from monitor.alarms.judged import JudgedBeats, Step
from monitor.beats.parse import parse
from monitor.deadletters.letter import RejectedRecord, dead_letter
from monitor.model.scorer import CAUSES, Scores
from monitor.records.record import Checkpoint, Message, partition_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from monitor.alarms.episode_state import Restored
    from monitor.alarms.episodes import Episodes, Observed
    from monitor.alarms.rule import Event
    from monitor.alarms.threshold import Thresholds
    from monitor.beats.beat import Beats
    from monitor.broker import Broker
    from monitor.model.scorer import Scorer
    from monitor.records.record import Records
    from monitor.settings import Settings
    from monitor.telemetry.health import Health
    from monitor.telemetry.metrics import Metrics
    from monitor.telemetry.recorder import Recorder

_CAUSES = ("", *CAUSES)


@dataclass(frozen=True, slots=True)
class Components:
    """The parts that the worker walks through."""

    broker: Broker
    scorer: Scorer
    thresholds: Thresholds
    episodes: Episodes
    metrics: Metrics
    health: Health


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read, before anything is known of it. The records are gone: whole fetches would be kept for them."""

    beats: Beats
    letters: list[RejectedRecord]
    offsets: dict[int, int]  # partition -> offset of the next record to read
    shed: Counter[int]  # by partition: records that were too old
    began: float
    scores: Future[Scores] | None = None  # where they are being found out beside something else


class Pipeline:
    """Takes records to a step; `clock` gives seconds since the epoch, for what people read."""

    def __init__(
        self, line: Components, settings: Settings, model_id: str, account: Recorder, clock: Callable[[], float]
    ) -> None:
        self._line, self._settings, self._account, self._clock = line, settings, account, clock
        self._stamp = AlertOrigin(settings.beats_topic, model_id)
        self._thread = ThreadPoolExecutor(1, "score")
        self._outdated: dict[int, tuple[bytes, ...]] = {}  # partition -> state of a future that was taken back

    def forget(self, partition: int) -> None:
        """It is somebody else's now."""
        self._line.episodes.revoke(partition)
        self._outdated.pop(partition, None)

    def resume(self, partition: int, clock: int | None, restored: Restored) -> None:
        """It begins, or goes back, with what was restored of it."""
        self._line.episodes.assign(partition, clock, restored.sources)
        self._outdated[partition] = restored.outdated

    def parse(self, records: Records) -> Parsed:
        offsets = {
            partition: int(records.offset[rows.stop - 1]) + 1 for partition, rows in partition_slices(records.partition)
        }
        young = self._young(records)
        beats, rejected = parse(young)
        topic, now_ms = self._settings.dead_letters_topic, int(1000 * self._clock())
        letters = [
            RejectedRecord(int(young.partition[one.row]), one.reason, dead_letter(young, one, topic, now_ms))
            for one in rejected
        ]
        self._account.ends("parse")
        return Parsed(beats, letters, offsets, _counts(records) - _counts(young), self._account.began)

    def begin(self, parsed: Parsed) -> Parsed:
        """Have its beats scored while something else is done, if that is not so yet."""
        if parsed.scores is not None:
            return parsed
        return replace(parsed, scores=self._thread.submit(self._line.scorer.score, parsed.beats.samples))

    def finish(self, parsed: Parsed, void: Collection[int] = ()) -> Step:
        """All the rest; nothing of the partitions that are `void` by now, whose records somebody will read again."""
        line, ends = self._line, self._account.ends
        scores = line.scorer.score(parsed.beats.samples) if parsed.scores is None else parsed.scores.result()
        ends("score")
        if not parsed.offsets.keys().isdisjoint(void):
            parsed, scores = _without(void, parsed, scores)
        beats = parsed.beats
        verdicts = line.thresholds.judge(beats.source, scores.score)
        held = verdicts.p_value, verdicts.threshold, verdicts.abnormal
        judged = JudgedBeats(beats, scores.score, *held, _CAUSES, scores.cause)
        observed = line.episodes.observe(beats, judged.abnormal, judged.cause_code)
        ends("judge")
        checkpoint = self._checkpoint(parsed, judged, observed)
        ends("encode")
        reasons = tuple(letter.reason for letter in parsed.letters)
        told = replace(judged, beats=replace(beats, samples=beats.samples[:0].copy()))  # that a step may wait for less
        return Step(checkpoint, told, observed.events, reasons, parsed.shed.total(), parsed.began)

    def _checkpoint(self, parsed: Parsed, judged: JudgedBeats, observed: Observed) -> Checkpoint:
        settings, offsets = self._settings, parsed.offsets
        messages = self._alerts(observed.events, judged)
        if settings.scores:
            messages += alert.scores(judged, settings.scores_topic)
        messages += [letter.message for letter in parsed.letters]
        written, deleted = episode_state.rows(observed.changes, self._outdated, settings.state_topic_name)
        self._outdated = {}
        stream_times = {partition: self._line.episodes.stream_time(partition) for partition in offsets}
        known = {partition: time for partition, time in stream_times.items() if time is not None}
        return Checkpoint((*messages, *written), deleted, offsets, known)

    def _young(self, records: Records) -> Records:
        """Without the records that are older than the setting allows, where it does."""
        limit = self._settings.max_age_seconds
        if limit is None:
            return records
        keep = records.time >= 1000 * (self._clock() - limit)
        return records if keep.all() else records.select(keep)

    def _alerts(self, events: list[Event], judged: JudgedBeats) -> list[Message]:
        if not events:  # most steps of a quiet monitor: not even an empty batch through the network
            return []
        rows = [event.row for event in events if event.name == "opened" and event.kind == "physiological"]
        explained = self._line.scorer.explain(judged.beats.samples[rows])
        seen, made = alert.rounded(explained.samples), alert.rounded(explained.reconstruction)
        shapes = dict(zip(rows, map(Waveform, seen, made), strict=True))
        topic, of = self._settings.alerts_topic, self._line.thresholds.for_source
        return [
            Message(
                topic,
                event.source,
                alert.alert(event, judged, alert.waveform(event, judged, shapes), self._stamp, of(event.source)),
            )
            for event in events
        ]


def _counts(records: Records) -> Counter[int]:
    return Counter({partition: rows.stop - rows.start for partition, rows in partition_slices(records.partition)})


def _without(void: Collection[int], parsed: Parsed, scores: Scores) -> tuple[Parsed, Scores]:
    keep = ~np.isin(parsed.beats.partition, list(void))
    letters = [letter for letter in parsed.letters if letter.partition not in void]
    offsets = {partition: offset for partition, offset in parsed.offsets.items() if partition not in void}
    shed = Counter({partition: count for partition, count in parsed.shed.items() if partition not in void})
    rest = replace(parsed, beats=parsed.beats.select(keep), letters=letters, offsets=offsets, shed=shed)
    return rest, Scores(scores.score[keep], scores.cause[keep])
