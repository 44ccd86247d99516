"""The personal side of a step: beats are held against the profiles of their sources, and flagged by the rules.

A source with a profile is judged by its personal score, the rule `run` and that of frequent ectopy. Without one, or
where MONITOR_RULE is `k-of-n`, it is judged by the population score, once its first beats have shown that the model
knows its lead. A source with a threshold of its own is judged by the population score at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from monitor.alarms.alert import rounded
from monitor.alarms.recent.ectopy import BITS, EctopyCarry, EctopyRule, ectopy
from monitor.alarms.recent.model_fit import MISFIT, UNDECIDED, FitCarry, fit
from monitor.alarms.recent.poor_signal import SignalBeats, SignalCarry, poor_signal
from monitor.alarms.recent.technical import LeadSigns, freezes, sick, technical_causes
from monitor.alarms.recent.waiting import WaitingSources
from monitor.alarms.rule import NOT_JUDGED, BeatFlags, EpisodeRule
from monitor.alarms.run_columns import RunCarry, flag
from monitor.alarms.run_rule import MERGE_MS, RunRule
from monitor.profiles.columns import NONE
from monitor.profiles.exchange import StoredRows
from monitor.profiles.sources import SourceProfiles
from monitor.records.record import GROUP_HEADER, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.alarms.alert import Rounded
    from monitor.alarms.control_message import ProfileReset
    from monitor.alarms.judged import JudgedBeats
    from monitor.alarms.no_signal import WatchedSources
    from monitor.beats.window import Window
    from monitor.profiles import Notice, ProfileSummary
    from monitor.profiles.exchange import Heard, ObservedBeats, RestoredSources, SourceCounts
    from monitor.records.record import Assigned
    from monitor.records.stream_time import StreamTime
    from monitor.settings import Settings

HOUR_MS = 3_600_000


def uses_profiles(settings: Settings, window: Window) -> bool:
    """Whether sources are judged by profiles of their own, with a model whose beats are cut by this window."""
    return settings.profiles and window.kind == "r-centred"


def episode_rule(settings: Settings, *, profiles: bool) -> EpisodeRule:
    """When episodes open and close. With profiles, an episode that opens again soon is the same one."""
    silence_ms = int(1000 * settings.episode_silence_seconds)
    counts = settings.episode_open, settings.episode_window, settings.episode_close
    if not profiles:
        return EpisodeRule(*counts, silence_ms)
    # a source that has stopped is frozen before it could be closed as silent
    no_signal_ms, forget_ms = min(int(1000 * settings.no_signal_seconds), silence_ms), _forget_ms(settings)
    return EpisodeRule(*counts, silence_ms, MERGE_MS, no_signal_ms, forget_ms)


def _forget_ms(settings: Settings) -> int:
    return round(HOUR_MS * settings.forget_hours)


@dataclass(frozen=True, slots=True)
class PersonalVerdicts:
    """What is known of n beats."""

    judged: JudgedBeats
    flags: BeatFlags
    row: NDArray[np.int64]  # (n,), of the source among the profiles; NONE where it has none
    source_row: NDArray[np.int64]  # (n,), the same at the end of the batch
    template: NDArray[np.int8]  # (n,), the nearest one; -1 where there is none
    notices: Sequence[Notice]

    @classmethod
    def of_population(cls, judged: JudgedBeats) -> PersonalVerdicts:
        """Of beats that are judged by the population score alone."""
        nothing = np.full(len(judged.beats), NONE, np.int64)
        flags = BeatFlags.of_population(judged.abnormal, judged.cause_code)
        return cls(judged, flags, nothing, nothing, nothing.astype(np.int8), ())

    def select(self, keep: NDArray[np.bool_]) -> PersonalVerdicts:
        """The same of the beats where `keep` (n,) is true."""
        kept = [one._replace(beat=int(keep[: one.beat].sum())) for one in self.notices if keep[one.beat]]
        rows = self.row[keep], self.source_row[keep]
        return PersonalVerdicts(self.judged.select(keep), self.flags.select(keep), *rows, self.template[keep], kept)


@dataclass(frozen=True, slots=True)
class ProfileMessages:
    """The profiles that are written with a step, in the parts of a `Checkpoint`.

    Without transactions a row goes with the deletions: before the offsets it would hide beats whose alerts are not out.
    """

    messages: tuple[Message, ...]
    deletions: tuple[Message, ...]
    read_from: Mapping[int, int]


class PersonalJudge:
    """Judges beats by the profiles of their sources. One thread calls it, in the order of the steps."""

    def __init__(
        self, settings: Settings, model_id: str = "", *, has_beat_times: bool = True, writes: bool = True
    ) -> None:
        """`model_id`: of the population score. Whether it fits a lead is asked again where that is another one.

        `has_beat_times`: whether the times of records are those of their beats, so that they tell the rate.
        `writes`: whether profiles are stored. Else there are no messages about them.
        """
        self._settings, self._model, self._writes = settings, crc32(model_id.encode()), writes
        self._rule = RunRule.of(settings.sensitivity) if settings.rule == "run" else None
        self._ectopy = EctopyRule(after_run=min(BITS - 1, settings.episode_close))
        self._waiting = WaitingSources()
        self._sources = SourceProfiles(settings.profile_seconds, _forget_ms(settings), has_beat_times=has_beat_times)

    def counts_now(self) -> SourceCounts:
        """How many sources have a profile, or learn one. Any thread may call it."""
        return self._sources.counts

    def summary(self, partition: int, source: bytes) -> ProfileSummary | None:
        """What a person sees of a source's profile; None where it has none."""
        row = self._sources.row(partition, source)
        return None if row == NONE else self._sources.summary(row)

    def assign(
        self, partition: int, assigned: Assigned, ended: Mapping[bytes, int], heard: Mapping[bytes, Heard]
    ) -> RestoredSources:
        """Begin to read a partition with its stored profiles. `ended` and `heard`: see `StoredRows`."""
        # Rows are written with their offsets or after them: one from beyond belongs to other records.
        place = assigned.offset, assigned.read_from, assigned.stream_time
        return self._sources.assign(partition, StoredRows(assigned.profiles, *place, ended, heard))

    def revoke(self, partition: int) -> None:
        """Forget a partition that another member reads now."""
        self._sources.revoke(partition)
        self._waiting.revoke(partition)

    def reset(self, resets: Iterable[ProfileReset]) -> None:
        """Let sources learn again."""
        for one in resets:
            self._sources.reset(one.source, one.version)

    @property
    def watched(self) -> WatchedSources:
        """The sources of which it is noticed that they stop."""
        return self._sources.watched

    def end(self, partition: int, source: bytes, offset: int) -> bool | None:
        """Drop what was learned of a source that has ended, see `SourceProfiles.end`."""
        self._waiting.end(partition, source)
        return self._sources.end(partition, source, offset)

    def judge(self, judged: JudgedBeats, own_threshold: NDArray[np.bool_]) -> PersonalVerdicts:
        """Hold beats against profiles, which learn from them.

        `judged` has the verdicts of the population score. `own_threshold` (n,): somebody has set a threshold for the
        source, by which it is judged.
        """
        observed = self._sources.observe(judged.beats, judged.cause_code == 0, judged.beats.noise)
        flags, by_profile = self._flags(judged, observed, own_threshold)
        personal = replace(judged, personal=observed.scored.score, decided_personally=by_profile)
        rows, scored = (observed.row, observed.source_row), observed.scored
        return PersonalVerdicts(personal, flags, *rows, scored.template, scored.notices)

    def _flags(
        self, judged: JudgedBeats, observed: ObservedBeats, own_threshold: NDArray[np.bool_]
    ) -> tuple[BeatFlags, NDArray[np.bool_]]:
        """What the beats count for, and which of them (n,) are judged by the profile."""
        flags = BeatFlags.of_population(judged.abnormal & ~observed.is_known, judged.cause_code)
        has_profile = ~np.isnan(observed.scored.score)
        by_profile = has_profile & ~own_threshold if self._rule is not None else np.zeros_like(has_profile)
        seen = observed.order
        waiting = np.flatnonzero((observed.row == NONE) & (judged.cause_code == 0) & ~own_threshold)
        if not len(seen) and not len(waiting):
            return flags, by_profile
        is_first = np.diff(observed.row[seen], prepend=NONE) != 0
        rows, source = observed.row[seen[is_first]], np.cumsum(is_first) - 1
        carry = self._sources.carry(rows)
        lead = _Lead(seen, source, carry, has_profile[seen])
        flags = self._run(flags, lead, observed, by_profile)
        is_undecided, is_misfit = _fit(flags.abnormal, lead, ~by_profile & ~own_threshold, self._model)
        if len(waiting):
            places = judged.beats.partition[waiting], judged.beats.source[waiting]
            verdict = self._waiting.judge(*places, flags.abnormal[waiting])
            is_undecided[waiting], is_misfit[waiting] = verdict == UNDECIDED, verdict == MISFIT
        is_noisy, is_sick = _noisy(lead, observed, judged.beats.time), _sick(lead, observed)
        self._sources.set_carry(rows, carry)
        cause = technical_causes(LeadSigns(judged.cause_code, is_misfit, is_noisy, is_sick))
        is_frozen = freezes(cause)
        flags = replace(
            flags,
            abnormal=flags.abnormal & ~is_undecided & ~is_misfit,
            unscorable=np.where(is_undecided, np.int8(NOT_JUDGED), cause * is_frozen),
            technical=cause * ~is_frozen,
        )
        return flags, by_profile

    def _run(self, flags: BeatFlags, lead: _Lead, observed: ObservedBeats, by_profile: NDArray[np.bool_]) -> BeatFlags:
        """Apply the rules for sources with a profile, also to beats that they do not decide about."""
        if self._rule is None or not lead.has_profile.any():
            return flags
        at, source = lead.seen[lead.has_profile], lead.source[lead.has_profile]
        rr_ms = np.nan_to_num(1000 * observed.rr_seconds[at].astype(np.float64)).astype(np.int64)
        before = RunCarry(*(lead.carry[name] for name in RunCarry._fields))
        found, after = flag(self._rule, before, source, observed.scored.score[at], rr_ms)
        for name, column in zip(RunCarry._fields, after, strict=True):
            lead.carry[name] = column
        decides = by_profile[at]
        score = observed.scored.score[at]
        last = EctopyCarry(lead.carry["singles"], lead.carry["runs"])
        is_frequent, (lead.carry["singles"], lead.carry["runs"]) = ectopy(self._ectopy, last, source, score, found.run)
        run, priority, abnormal = flags.run.copy(), flags.priority.copy(), flags.abnormal.copy()
        frequent = flags.frequent.copy()
        run[at], priority[at] = np.where(decides, found.run, 0), found.priority
        frequent[at] = np.where(decides & self._settings.frequent_ectopy, is_frequent, 0)
        abnormal[at[decides]] = False
        return replace(flags, run=run, priority=priority, abnormal=abnormal, frequent=frequent)

    def typical(self, verdicts: PersonalVerdicts, rows: NDArray[np.int64]) -> list[Rounded | None]:
        """The typical beats of the sources of these beats (k,), on the scale of the normalised beats; None without."""
        drawn: list[Rounded | None] = [None] * len(rows)
        places = np.flatnonzero(verdicts.template[rows] >= 0)
        if not len(places):
            return drawn
        at = rows[places]
        typical = self._sources.typical(verdicts.row[at], verdicts.template[at])
        samples = verdicts.judged.beats.samples[at].astype(np.float64)
        inside = np.where(np.isnan(typical), np.nan, samples)
        scaled = typical + np.nanmean(inside, axis=1, keepdims=True) - samples.mean(axis=1, keepdims=True)
        scaled /= samples.std(axis=1, keepdims=True)
        for place, one in zip(places.tolist(), rounded(scaled.astype(np.float32)), strict=True):
            drawn[place] = one
        return drawn

    def messages(self, ends: Mapping[int, int], stream_times: Mapping[int, StreamTime]) -> ProfileMessages:
        """The profiles to write at the end of a step, with the offsets of the next records and the stream times."""
        if not self._writes:
            self._sources.forget(stream_times)
            return ProfileMessages((), (), {})
        rows_follow = self._settings.delivery == "at-least-once"
        changes = self._sources.changes(ends, stream_times, rows_follow=rows_follow)
        topic, headers = self._settings.profiles_topic_name, ((GROUP_HEADER, self._settings.group_id.encode()),)
        written = tuple(Message(topic, source, value, headers, partition=one) for one, source, value in changes.written)
        deleted = tuple(Message(topic, source, None, headers, partition=one) for one, source in changes.deleted)
        if rows_follow:
            return ProfileMessages((), (*written, *deleted), changes.read_from)
        return ProfileMessages(written, deleted, changes.read_from)


@dataclass(frozen=True, slots=True)
class _Lead:
    """m beats that were observed, of k sources."""

    seen: NDArray[np.intp]  # (m,), places in the batch, by source
    source: NDArray[np.intp]  # (m,), which of the k sources; ascending
    carry: NDArray[np.void]  # (k,), changed in place
    has_profile: NDArray[np.bool_]  # (m,)


def _fit(
    abnormal: NDArray[np.bool_], lead: _Lead, by_population: NDArray[np.bool_], model: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of which beats (n,) it is not decided yet whether the model knows their lead, and of which it does not.

    `by_population` (n,): only of these, which the model judges by a threshold that is not the source's own. What is
    remembered of another model does not count.
    """
    is_undecided, is_misfit = np.zeros_like(abnormal), np.zeros_like(abnormal)
    is_asked = by_population[lead.seen]
    if is_asked.any():
        at, carry = lead.seen[is_asked], lead.carry
        is_other = np.zeros(len(carry), np.bool_)
        is_other[lead.source[is_asked]] = True
        is_other &= carry["model"] != model
        for name, value in (("fit_beats", 0), ("fit_above", 0), ("fit", UNDECIDED), ("model", model)):
            carry[name][is_other] = value
        before = FitCarry(carry["fit_beats"], carry["fit_above"], carry["fit"])
        verdict, after = fit(before, lead.source[is_asked], abnormal[at])
        carry["fit_beats"], carry["fit_above"], carry["fit"] = after
        is_undecided[at], is_misfit[at] = verdict == UNDECIDED, verdict == MISFIT
    return is_undecided, is_misfit


def _noisy(lead: _Lead, observed: ObservedBeats, time_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which beats (n,) come in a minute after a noisy one."""
    carry, at = lead.carry, lead.seen
    before = SignalCarry(carry["noisy_beats"], carry["minute"], carry["poor_ms"], carry["is_noisy"] != 0)
    beats = SignalBeats(lead.source, time_ms[at], observed.rr_seconds[at], observed.scored.noise[at])
    found, after = poor_signal(before, beats)
    carry["noisy_beats"], carry["minute"], carry["poor_ms"], carry["is_noisy"] = after
    is_noisy = np.zeros(len(time_ms), np.bool_)
    is_noisy[at] = found
    return is_noisy


def _sick(lead: _Lead, observed: ObservedBeats) -> NDArray[np.bool_]:
    """Which beats (n,) announce that their source was sick while it learned."""
    carry, at, notices = lead.carry, lead.seen, observed.scored.notices
    is_sick = np.zeros(len(observed.row), np.bool_)
    if carry["sick"].any() or any(one.kind == "sick-while-learning" for one in notices):
        place = np.empty(len(is_sick), np.int64)
        place[at] = np.arange(len(at))
        seen = [one._replace(beat=int(place[one.beat])) for one in notices]
        is_sick[at], carry["sick"] = sick(carry["sick"], lead.source, seen)
    return is_sick
