"""The rule that opens and closes an episode, for one source. Pure functions: they get the old state, return the new.

An episode opens when k of the source's last n beats are flagged, and closes after m unflagged ones in a row. Each
source has two kinds of episode, side by side: `physiological`, whose flagged beats are the abnormal ones, and
`technical`, whose flagged beats are those that cannot be scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["physiological", "technical"]
EventName = Literal["opened", "closed"]
KINDS: tuple[Kind, Kind] = ("physiological", "technical")
MAX_WINDOW = 64  # beats: as many as `EpisodeState.recent` has bits
EVENTS: tuple[EventName, EventName] = ("opened", "closed")


@dataclass(frozen=True, slots=True)
class EpisodeRule:
    """When an episode opens, closes, and ends because its source is silent."""

    flagged: int  # k: flagged beats that open it
    window: int  # n: among this many last beats, at most 64
    close: int  # m: unflagged beats in a row that close it
    silence_ms: int  # stream time without a beat of the source that closes it as silent


class EpisodeState(NamedTuple):
    """One source's state of one kind of episode, open or not. These names are those of the stored form."""

    recent: int = 0  # one bit for each of the last beats, the newest lowest: 1 = flagged
    length: int = 0  # beats in `recent`
    unflagged: int = 0  # in a row, up to now
    opened_offset: int = -1  # -1 while no episode is open
    opened_at: int = 0  # time of the beat that opened it, ms since the epoch
    flagged_beats: int = 0  # since it opened, the beats that opened it included
    seen_beats: int = 0  # the same of all beats
    cause: int = 0  # of the last flagged beat

    @property
    def is_open(self) -> bool:
        return self.opened_offset >= 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing needs to be remembered: no episode is open, and none of the last beats was flagged."""
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
    """An episode opened or closed."""

    name: EventName
    kind: Kind
    source: bytes
    row: int  # of the beat in the batch that caused it
    episode: EpisodeState  # after that beat
    silent: bool = False  # closed because the source sent nothing; the beat is then one of another source
    void: bool = False  # closed because what opened it is gone or read again; the beat is then any of its partition


def after_beat(
    episode: EpisodeState, rule: EpisodeRule, *, cause: int, offset: int, time: int
) -> tuple[EpisodeState, EventName | None]:
    """The state after one more beat, and the event that the beat caused.

    `cause` is 0 for an unflagged beat, `offset` and `time` (ms since the epoch) are the beat's. An episode whose event
    is `closed` keeps its figures: the caller replaces it by QUIET.
    """
    recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, last_cause = episode
    flagged = cause != 0
    recent = (recent << 1 | flagged) & ((1 << rule.window) - 1)
    length = min(length + 1, rule.window)
    unflagged = 0 if flagged else unflagged + 1
    flagged_beats, seen_beats, cause = flagged_beats + flagged, seen_beats + 1, cause or last_cause
    event: EventName | None = None
    if opened_offset >= 0:
        event = "closed" if unflagged >= rule.close else None
    elif recent.bit_count() >= rule.flagged:
        opened_offset, opened_at, flagged_beats, seen_beats, event = offset, time, recent.bit_count(), length, "opened"
    return EpisodeState._make(
        (recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, cause)
    ), event


def after_unflagged(episode: EpisodeState, rule: EpisodeRule, beats: int) -> EpisodeState:
    """The state after this number of unflagged beats in a row, as if `after_beat` were called for each of them.

    The caller makes sure that only the last of these beats can cause an event.
    """
    recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, cause = episode
    recent = recent << beats & ((1 << rule.window) - 1)
    length = min(length + beats, rule.window)
    unflagged, seen_beats = unflagged + beats, seen_beats + beats
    return EpisodeState._make((recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, cause))
