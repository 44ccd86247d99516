"""Turns the records of one poll into a checkpoint that can be delivered: parse, score, judge, encode."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from monitor.alarms import alert, episode_state
from monitor.alarms.alarms_on import AlarmsOn
from monitor.alarms.alert import AlertOrigin, Waveform
from monitor.alarms.cloud_event import traceparent_of
from monitor.alarms.judged import JudgedBeats
from monitor.alarms.lifecycle import LifeRule
from monitor.alarms.lives import AlarmLives
from monitor.alarms.recent.technical import TECHNICAL_CAUSES
from monitor.alarms.source_end import SourceEnds
from monitor.beats.parse import parse
from monitor.deadletters.letter import RejectedRecord, dead_letter
from monitor.pipeline.parsed import Parsed, counts, judged_before, without
from monitor.pipeline.personal import PersonalVerdicts
from monitor.pipeline.source_ends import Cut, SourceEnder, cut
from monitor.profiles.exchange import Heard
from monitor.records.record import Checkpoint, Message, RecordHeaders, partition_slices
from monitor.telemetry.facts import StepFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.alarms.alarm_event import AlarmEvent
    from monitor.alarms.alert import Rounded
    from monitor.alarms.control_message import AcknowledgeCommand, ProfileReset
    from monitor.alarms.episode_state import Restored
    from monitor.alarms.episodes import Episodes
    from monitor.alarms.lives import StepLives
    from monitor.alarms.pauses import PauseCommand
    from monitor.alarms.source_end import SourceEnd
    from monitor.alarms.threshold import Thresholds
    from monitor.beats.beat import Beats
    from monitor.broker import Broker
    from monitor.model.scorer import Explanation, Scorer, Scores
    from monitor.pipeline.personal import PersonalJudge
    from monitor.profiles.exchange import RestoredSources
    from monitor.records.record import Assigned, Records
    from monitor.settings import Settings
    from monitor.telemetry.clock import Clock
    from monitor.telemetry.facts import Stage
    from monitor.telemetry.recorder import Recorder


class BeatScorer(Protocol):
    """The population score: `Scorer`, or what stands in its place where there is no model."""

    def score(self, samples: NDArray[np.float32]) -> Scores:
        """Scores of beats (n, 140)."""

    def explain(self, samples: NDArray[np.float32]) -> Explanation:
        """Beats (n, 140) beside their reconstructions."""


GONE_SECONDS = 10.0  # without a record of a partition: a leader that changes takes less


class Judges(Protocol):
    """The parts that the pipeline works with. They read and write nothing outside of the process."""

    @property
    def scorer(self) -> BeatScorer:
        """The population score."""

    @property
    def thresholds(self) -> Thresholds:
        """What it is compared with."""

    @property
    def episodes(self) -> Episodes:
        """What is remembered of the sources' alarms."""

    @property
    def personal(self) -> PersonalJudge | None:
        """The profiles. None: sources are judged by the population score alone."""


@dataclass(frozen=True, slots=True)
class Components:
    """The parts that the loop and the pipeline work with: those of `Judges`, the broker and the recorder."""

    broker: Broker
    scorer: Scorer
    thresholds: Thresholds
    episodes: Episodes
    recorder: Recorder
    personal: PersonalJudge | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one batch: the checkpoint to deliver, and the facts to count once it is delivered."""

    checkpoint: Checkpoint
    facts: StepFacts
    partitions: frozenset[int]  # of which records were read, be it again


class Pipeline:
    """Takes records through the stages."""

    def __init__(self, components: Judges, settings: Settings, model_id: str, clock: Clock) -> None:
        self._scorer = components.scorer
        self._thresholds = components.thresholds
        self._episodes = components.episodes
        self._settings, self._clock = settings, clock
        rule = LifeRule(settings.latch_high, int(1000 * settings.remind_seconds))
        self._lives = AlarmLives(settings.beats_topic, rule)
        self.alarms_on = AlarmsOn()
        self._ends = SourceEnds(settings.beats_topic)
        self._ender = SourceEnder(self._ends, self._episodes, self._lives, components.personal)
        self._positions: dict[int, int] = {}  # partition -> offset of the next record to judge
        self._origin = AlertOrigin(settings.beats_topic, model_id, settings.alerts_topic)
        self._thread = ThreadPoolExecutor(1, "score")
        self._personal = components.personal
        self._outdated: dict[int, Iterable[bytes]] = {}  # partition -> sources whose stored state is to be deleted
        self._read_again: dict[int, range] = {}  # partition -> offsets of records that only complete the profiles
        self._read_at: dict[int, float] = {}  # partition -> when it was assigned, or a record of it was read last

    def revoke(self, partition: int) -> None:
        """Forget a partition that another member reads now."""
        self._episodes.revoke(partition)
        self._lives.revoke(partition)
        self.alarms_on.revoke(partition)
        self._ends.revoke(partition)
        self._positions.pop(partition, None)
        self._outdated.pop(partition, None)
        self._read_again.pop(partition, None)
        self._read_at.pop(partition, None)
        if self._personal is not None:
            self._personal.revoke(partition)

    def assign(self, partition: int, assigned: Assigned, restored: Restored) -> RestoredSources | None:
        """Start to read a partition, or read it again from an earlier offset, with the restored state.

        Returns what came of its profiles; None where profiles are not used.
        """
        self._episodes.assign(partition, assigned.stream_time, restored.sources, restored.outdated)
        self._lives.assign(partition, restored.lives)
        self.alarms_on.assign(partition, restored)
        self._ends.assign(partition)
        self._positions[partition] = assigned.offset
        self._outdated[partition] = restored.outdated
        self._read_again[partition] = range(assigned.read_from, assigned.offset)
        self._read_at[partition] = self._clock.monotonic()
        if self._personal is None:
            return None
        heard = {source: Heard(state.offset, state.stream_time) for source, state in restored.sources.items()}
        return self._personal.assign(partition, assigned, self._ends.in_force(partition, assigned.offset), heard)

    def acknowledge(self, commands: Iterable[AcknowledgeCommand]) -> None:
        """Take commands: the next step applies them."""
        for command in commands:
            self._lives.add(command)

    def pause(self, commands: Iterable[PauseCommand]) -> None:
        """Take commands that pause alarms or let them go on: the next step follows them."""
        for command in commands:
            self._lives.pause(command)

    def end_sources(self, commands: Iterable[SourceEnd]) -> None:
        """Take commands that end sources: the step that reaches their offsets applies them."""
        for command in commands:
            self._ends.add(command)

    def cut(self, records: Records) -> Cut:
        """The records of one step and the rest, where a source ends between them."""
        return cut(records, self._ends)

    def has_commands(self) -> bool:
        """Whether a step has something to do although no record came."""
        return self._lives.is_due() or self._ends.is_due(self._positions)

    def reset_profiles(self, resets: Iterable[ProfileReset]) -> None:
        """Let sources learn their profiles again."""
        if self._personal is not None:
            self._personal.reset(resets)

    def parse(self, records: Records, reached: Mapping[int, int] | None = None) -> Parsed:
        """The beats among the records, and a dead letter for every other record.

        `reached`: of partitions whose next records wait for the next step, the offset of the first one.
        Records that were judged before cause no letter, whatever they are.
        """
        started = self._clock.monotonic()
        ends = {
            partition: int(records.offset[rows.stop - 1]) + 1 for partition, rows in partition_slices(records.partition)
        }
        known = self._read_again | {
            partition: range(one.read_from, one.offset) for partition, one in records.assigned.items()
        }
        ends |= {one: offset for one, offset in (reached or {}).items() if one not in known or offset > known[one].stop}
        young = self._young(records, known)
        beats, rejected = parse(young, noise=self._personal is not None)
        again, beats_again = (judged_before(one.partition, one.offset, known) for one in (young, beats))
        topic, now_ms = self._settings.dead_letters_topic, int(1000 * self._clock.wall())
        letters = [
            RejectedRecord(int(young.partition[one.row]), one.reason, dead_letter(young, one, topic, now_ms))
            for one in rejected
            if not again[one.row]
        ]
        shed = counts(records) - counts(young)
        offsets = {partition: end for partition, end in ends.items() if end - 1 not in known.get(partition, ())}
        seconds: dict[Stage, float] = {"parse": self._clock.monotonic() - started}
        return Parsed(beats, RecordHeaders(young), beats_again, letters, ends, offsets, shed, started, seconds)

    def passed(self, ends: Mapping[int, int]) -> None:
        """Records up to these offsets, by partition, were read, after what was assigned with them."""
        self._read_at |= dict.fromkeys(ends, self._clock.monotonic())
        for partition, end in ends.items():
            again = self._read_again.get(partition)
            if again is not None and not again.start < end < again.stop:  # below it, where the topic was made again
                del self._read_again[partition]

    @property
    def is_completing(self) -> bool:
        """Whether beats are being read again to complete profiles: newer beats of their partitions wait for that.

        Where none has come for GONE_SECONDS, they are no longer kept.
        """
        earliest = self._clock.monotonic() - GONE_SECONDS
        return any(again and self._read_at[partition] > earliest for partition, again in self._read_again.items())

    def _young(self, records: Records, known: Mapping[int, range]) -> Records:
        """The records without those older than MONITOR_MAX_AGE_SECONDS; all where it is not set.

        The age of a record without a time is not known: it stays. So do records that complete profiles.
        """
        limit = self._settings.max_age_seconds
        if limit is None:
            return records
        keep = (records.time >= 1000 * (self._clock.wall() - limit)) | (records.time < 0)
        keep |= judged_before(records.partition, records.offset, known)
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
        if not parsed.ends.keys().isdisjoint(dropped):
            parsed, scores = without(dropped, parsed, scores)
        verdicts = self._verdicts(parsed, scores)
        judged = verdicts.judged
        observed = self._episodes.observe(judged.beats, verdicts.flags, verdicts.source_row)
        observed_at = self._clock.monotonic()
        self._positions |= parsed.offsets
        lives = self._lives.step(observed, judged.beats, self._episodes, self._positions)
        self._ender.forget(observed.events, judged.beats.partition)
        ends = self._ender.step(self._positions)
        lives = ends.added_to(lives)
        self.alarms_on.note(lives.events)
        checkpoint = self._checkpoint(parsed, verdicts, lives)
        stages: dict[Stage, float] = {
            "score": scored - started,
            "judge": observed_at - scored,
            "encode": self._clock.monotonic() - observed_at,
        }
        small = replace(judged, beats=replace(judged.beats, samples=judged.beats.samples[:0].copy()))
        facts = StepFacts(
            judged=small,
            flags=verdicts.flags,
            events=lives.events,
            notices=verdicts.notices,
            reasons=tuple(letter.reason for letter in parsed.letters),
            shed_records=parsed.shed.total(),
            far_ahead=observed.far_ahead,
            started=parsed.started,
            seconds={**parsed.seconds, **stages},
            useless=lives.useless,
            useless_ends=ends.useless,
        )
        return Step(checkpoint, facts, frozenset(parsed.ends))

    def _verdicts(self, parsed: Parsed, scores: Scores) -> PersonalVerdicts:
        """The verdicts on the beats that were not judged before. The others complete the profiles."""
        judged = self._judge(parsed.beats, scores)
        if self._personal is None:
            verdicts = PersonalVerdicts.of_population(judged)
        else:
            verdicts = self._personal.judge(judged, self._thresholds.are_own(judged.beats.source))
        return verdicts.select(~parsed.is_again) if parsed.is_again.any() else verdicts

    def _judge(self, beats: Beats, scores: Scores) -> JudgedBeats:
        verdicts = self._thresholds.judge(beats.source, scores.score)
        columns = verdicts.p_value, verdicts.threshold, verdicts.abnormal
        none, population = np.full(len(beats), np.nan, np.float32), np.zeros(len(beats), np.bool_)
        return JudgedBeats(beats, scores.score, *columns, TECHNICAL_CAUSES, scores.cause, none, population)

    def _checkpoint(self, parsed: Parsed, verdicts: PersonalVerdicts, lives: StepLives) -> Checkpoint:
        """The alerts, the scores if MONITOR_SCORES is set, dead letters, state, profiles and offsets of the step.

        What a command changes goes out with the offset of its partition, also where no record of it came: only offsets
        make the broker refuse a member that is out of the group.
        """
        settings, judged = self._settings, verdicts.judged
        messages = self._alerts(lives.events, verdicts, parsed.headers)
        offsets = {partition: self._positions[partition] for partition in lives.partitions} | dict(parsed.offsets)
        if settings.scores:
            messages += alert.scores(judged, settings.scores_topic)
        messages += [letter.message for letter in parsed.letters]
        # their episodes close at a beat
        due = {
            one: self._outdated.pop(one) for one, _ in partition_slices(judged.beats.partition) if one in self._outdated
        }
        topic, group = settings.state_topic_name, settings.group_id
        written, deleted = episode_state.rows(lives.changes, due, topic, group, self._lives.lookup())
        ends = offsets | dict(parsed.ends)
        stream_times = {partition: self._episodes.stream_time(partition) for partition in ends}
        known = {partition: time for partition, time in stream_times.items() if time is not None}
        if self._personal is None:
            return Checkpoint((*messages, *written), deleted, offsets, known)
        profiles = self._personal.messages(ends, known)
        return Checkpoint(
            (*messages, *written, *profiles.messages),
            (*deleted, *profiles.deletions),
            offsets,
            known,
            profiles.read_from,
        )

    def _alerts(
        self, events: Sequence[AlarmEvent], verdicts: PersonalVerdicts, headers: RecordHeaders
    ) -> list[Message]:
        """One message an event; the beat of a physiological one comes with its reconstruction, unless it is the end."""
        if not events:  # most steps: do not even call the network with an empty batch
            return []
        causes = [told.cause for told in events if told.cause is not None and told.kind == "physiological"]
        rows = [event.row for event in causes if event.name != "closed"]
        waveforms = dict(zip(rows, self._waveforms(verdicts, rows), strict=True))
        judged, threshold_of = verdicts.judged, self._thresholds.for_source
        return [
            alert.alert(
                told,
                judged,
                Waveform() if told.cause is None else alert.waveform(told.cause, judged, waveforms),
                self._origin,
                threshold_of(told.source),
                _traceparent(told, judged.beats, headers),
            )
            for told in events
        ]

    def _waveforms(self, verdicts: PersonalVerdicts, rows: list[int]) -> list[Waveform]:
        """What the alerts about these beats show."""
        explained = self._scorer.explain(verdicts.judged.beats.samples[rows])
        samples, reconstructions = alert.rounded(explained.samples), alert.rounded(explained.reconstruction)
        typical: list[Rounded | None] = [None] * len(rows)
        if self._personal is not None:
            typical = self._personal.typical(verdicts, np.array(rows, np.int64))
        return list(map(Waveform, samples, reconstructions, typical))


def _traceparent(told: AlarmEvent, beats: Beats, headers: RecordHeaders) -> bytes | None:
    """The trace of the beat that opened an alarm; later events are caused by other beats."""
    if told.name != "opened" or told.cause is None or told.cause.name != "opened" or told.cause.silent:
        return None
    row = told.cause.row
    return traceparent_of(headers.of(int(beats.partition[row]), int(beats.offset[row])))
