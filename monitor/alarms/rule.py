"""The rule that opens and closes an episode, for one source. Pure functions: they get the old state, return the new.

Each source has two kinds of episode, side by side: `physiological` and `technical`. Beats are flagged in two ways:

- By the population: an episode opens when k of the source's last n beats are flagged. Flagged are the abnormal beats
  (physiological) and those with a technical cause (technical).
- Personally, for a source with a profile: the rule `run` has counted flagged beats in a row, see `run_rule`. A
  physiological episode opens at the first beat that it flags, and its priority rises with the beat's.
- At a beat at which ectopy is frequent, see `recent.ectopy`, a physiological episode opens with low priority, unless
  one is open. A run that comes while it goes on makes it more urgent, whatever the priority of the run.

An episode closes after m unflagged beats in a row. When it opens again within `merge_ms`, it is the same episode.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from monitor.alarms.run_rule import PRIORITIES
from monitor.records.stream_time import is_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["physiological", "technical"]
EventName = Literal["opened", "updated", "closed"]
KINDS: tuple[Kind, Kind] = ("physiological", "technical")
MAX_WINDOW = 64  # beats: as many as `EpisodeState.recent` has bits
MEDIUM = PRIORITIES.index("medium")  # of what the population opens, and of technical episodes


@dataclass(frozen=True, slots=True)
class EpisodeRule:
    """When an episode opens, closes, and ends because its source is silent."""

    flagged: int  # k: flagged beats that open it
    window: int  # n: among this many last beats, at most 64
    close: int  # m: unflagged beats in a row that close it
    silence_ms: int  # stream time without a beat of the source that closes it as silent
    merge_ms: int = 0  # an opening at most this long after the beat that closed it is the same episode; 0: never
    no_signal_ms: int = 0  # the same of a source that is watched: it has stopped. 0: none is. Less than `silence_ms`
    forget_ms: int = 0  # the same after which it does not come back, and its alarms close; 0: never


NOT_JUDGED = -1  # in place of a cause, see `BeatFlags`
FREQUENT, AFTER_RUN = 1, 2  # see `BeatFlags.frequent`
PHYSIOLOGICAL_CAUSES = ("unusual-shape", "frequent-ectopy")  # index: the code of a cause less 1
UNUSUAL_SHAPE, FREQUENT_ECTOPY = 1, 2  # codes


@dataclass(frozen=True, slots=True)
class BeatFlags:
    """What n beats count for, as columns (n,)."""

    abnormal: NDArray[np.bool_]  # by the population score; False for beats that are judged personally
    # The cause why a beat says nothing about the heart, as one without a score. 0: it does. NOT_JUDGED: it says nothing
    # and has no technical cause. Such beats leave the physiological episode as it is.
    unscorable: NDArray[np.int8]
    run: NDArray[np.int32]  # flagged beats in a row, by the personal score; 0: not flagged or not judged personally
    priority: NDArray[np.int8]  # index into PRIORITIES; counts where `run` is above 0
    technical: NDArray[np.int8]  # a cause that is no obstacle to judging the beat; 0: none
    # FREQUENT where single beats are frequent, AFTER_RUN where they are and a run was flagged just before; 0: neither.
    # Of beats that a run flags: AFTER_RUN where that was so just before, FREQUENT where it begins.
    frequent: NDArray[np.int8]

    @classmethod
    def of_population(cls, abnormal: NDArray[np.bool_], unscorable: NDArray[np.int8]) -> BeatFlags:
        """Of beats that are judged by the population score alone."""
        none = np.zeros(len(abnormal), np.int8)
        return cls(abnormal, unscorable, none.astype(np.int32), none, none, none)

    def select(self, keep: NDArray[np.bool_]) -> BeatFlags:
        """The same of the beats where `keep` (n,) is true."""
        return BeatFlags(*(getattr(self, name)[keep] for name in self.__slots__))

    def without_ectopy(self) -> BeatFlags:
        """The same without frequent ectopy: what is left are runs, and beats that the population score flags."""
        return replace(self, frequent=np.zeros_like(self.frequent))


class PersonalFlag(NamedTuple):
    """What the rules for a source with a profile say about one beat."""

    run: int  # flagged beats in a row, 1 for frequent ectopy; 0: not flagged, or not judged personally
    priority: int  # index into PRIORITIES; counts where `run` is above 0
    begins: bool = False  # whether a run begins: that is an event also where an episode is open


NOT_PERSONAL = PersonalFlag(0, MEDIUM)


class EpisodeState(NamedTuple):
    """One source's state of one kind of episode, open or not. These names are those of the stored form."""

    recent: int = 0  # one bit for each of the last beats, the newest lowest: 1 = flagged
    length: int = 0  # beats in `recent`
    unflagged: int = 0  # in a row, up to now
    opened_offset: int = -1  # -1 while no episode is open or was open recently
    opened_at: int = 0  # time of the beat that opened it first, ms since the epoch
    flagged_beats: int = 0  # since it opened, the beats that opened it included; without those while it was closed
    seen_beats: int = 0  # the same of all beats
    cause: int = 0  # code of that of the last flagged beat
    closed_at: int = -1  # time of the beat that closed it, ms, while an opening would be the same episode; -1: else
    priority: int = MEDIUM  # index into PRIORITIES

    @property
    def is_open(self) -> bool:
        return self.opened_offset >= 0 and self.closed_at < 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing needs to be remembered: no episode is open or was, and no recent beat was flagged."""
        return self.opened_offset < 0 and not self.recent


QUIET = EpisodeState()


class SourceState(NamedTuple):
    """All that is remembered of one source. A source has no state while both of its episode states are quiet."""

    episodes: tuple[EpisodeState, EpisodeState]  # one for each kind, in the order of KINDS
    stream_time: int  # the partition's at the source's last beat, ms
    offset: int  # of that beat

    @property
    def is_over(self) -> bool:
        """Whether both episode states are quiet, so that this state can be deleted."""
        physiological, technical = self.episodes
        return physiological.is_quiet and technical.is_quiet


@dataclass(frozen=True, slots=True)
class Event:
    """An episode opened, became more urgent or closed."""

    name: EventName
    kind: Kind
    source: bytes
    row: int  # of the beat in the batch that caused it
    episode: EpisodeState  # after that beat
    silent: bool = False  # caused by a source that sends nothing; the beat is then one of another source
    reopened: bool = False  # opened again: the same episode as before
    forgotten: bool = False  # closed because the source was silent for long; the beat is then one of another source
    void: bool = False  # closed because what opened it is gone or read again; the beat is then any of its partition
    is_further: bool = field(default=False, compare=False)  # `updated` by a further run, of no higher priority
    marks: tuple[int, ...] = ()  # technical causes of a beat that is judged all the same; none of a technical event


def after_beat(
    episode: EpisodeState,
    rule: EpisodeRule,
    *,
    cause: int,
    offset: int,
    time: int,
    personal: PersonalFlag = NOT_PERSONAL,
) -> tuple[EpisodeState, EventName | None]:
    """The state after one more beat, and the event that the beat caused.

    `cause` is 0 for an unflagged beat, `offset` and `time` (ms since the epoch) are the beat's. An episode whose event
    is `closed` keeps its figures: the caller replaces it by `after_closing`.
    """
    if episode.closed_at >= 0 and is_outdated(episode, rule, time):
        episode = without_episode(episode)
    recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, last, closed_at, priority = episode
    last = cause or last
    flagged, was_closed = cause != 0, closed_at >= 0
    recent = (recent << 1 | flagged) & ((1 << rule.window) - 1)
    length, unflagged = min(length + 1, rule.window), 0 if flagged else unflagged + 1
    counted = flagged_beats, seen_beats
    flagged_beats, seen_beats = flagged_beats + flagged, seen_beats + 1
    event: EventName | None = None
    if opened_offset >= 0 and not was_closed:
        if unflagged >= rule.close:
            event = "closed"
        elif personal.run and (personal.priority > priority or personal.begins):
            event, priority = "updated", max(priority, personal.priority)
    elif personal.run or recent.bit_count() >= rule.flagged:
        event = "opened"
        if was_closed:  # the same episode, open from this beat on: its counts go on with this beat
            closed_at, priority = -1, max(priority, personal.priority)
        else:
            opened_offset, opened_at, priority = offset, time, personal.priority
            flagged_beats, seen_beats = personal.run or recent.bit_count(), personal.run or length
    elif was_closed:
        flagged_beats, seen_beats = counted
    return EpisodeState(
        recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, last, closed_at, priority
    ), event


def after_unflagged(episode: EpisodeState, rule: EpisodeRule, beats: int) -> EpisodeState:
    """The state after this number of unflagged beats in a row, as if `after_beat` were called for each of them.

    The caller makes sure that only the last of these beats can cause an event, and that a closed episode does not
    become outdated at any of them.
    """
    recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, cause, closed_at, priority = episode
    recent = recent << beats & ((1 << rule.window) - 1)
    length, unflagged = min(length + beats, rule.window), unflagged + beats
    if closed_at < 0:
        seen_beats += beats
    return EpisodeState(
        recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, cause, closed_at, priority
    )


def after_closing(episode: EpisodeState, rule: EpisodeRule, time: int) -> EpisodeState:
    """What is remembered of an episode that was closed by a beat of this time, ms."""
    if not rule.merge_ms or not is_time(time):
        return QUIET
    return without_window(episode._replace(closed_at=time))


def without_window(episode: EpisodeState) -> EpisodeState:
    """The state when none of the last beats was flagged, while no episode is open."""
    return QUIET if episode.opened_offset < 0 else episode._replace(recent=0, length=0, unflagged=0)


def is_outdated(episode: EpisodeState, rule: EpisodeRule, time: int) -> bool:
    """Whether an opening at this time, ms, is too far from the closing of the episode to be the same one.

    It does not matter which of the two times is the later one: a clock may have been set back.
    """
    return episode.closed_at >= 0 and abs(time - episode.closed_at) > rule.merge_ms


def without_episode(episode: EpisodeState) -> EpisodeState:
    """Only what is remembered of the last beats."""
    return EpisodeState(episode.recent, episode.length, episode.unflagged, cause=episode.cause)


def while_not_open(episode: EpisodeState, rule: EpisodeRule, beats: int) -> EpisodeState:
    """The state after so many unflagged beats, at least one, none of which can cause an event."""
    window = (1 << rule.window) - 1
    if not episode.recent or (beats > 1 and not episode.recent << (beats - 1) & window):
        return without_window(episode)  # nothing flagged is left in the window before the last of these beats
    return after_unflagged(episode, rule, beats)
