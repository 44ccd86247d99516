"""One source in trouble: when its episode opens and when it closes. Pure.

An episode opens when k of the source's last n beats are flagged, and closes after m unflagged ones in a row. Two kinds
run side by side: abnormal shape (physiological) and beats that cannot be scored (technical).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["physiological", "technical"]
EventName = Literal["opened", "closed"]
KINDS: tuple[Kind, Kind] = ("physiological", "technical")
EVENTS: tuple[EventName, EventName] = ("opened", "closed")


@dataclass(frozen=True, slots=True)
class EpisodeRule:
    """When an episode opens (`flagged` of the last `window` beats), closes, and falls silent."""

    flagged: int
    window: int
    close: int
    silence_ms: int


class EpisodeState(NamedTuple):
    """One kind of trouble of one source."""

    recent: int = 0  # one bit a beat, the newest lowest: 1 = flagged
    length: int = 0  # beats in `recent`
    unflagged: int = 0  # in a row, up to now
    opened_offset: int = -1  # -1 while no episode is open
    opened_at: int = 0  # time of the beat that opened it, ms since the epoch
    flagged_beats: int = 0  # since it opened, the beats that opened it included
    seen_beats: int = 0
    cause: int = 0  # of the last flagged beat

    @property
    def is_open(self) -> bool:
        return self.opened_offset >= 0

    @property
    def is_quiet(self) -> bool:
        return self.opened_offset < 0 and not self.recent


QUIET = EpisodeState()


class SourceState(NamedTuple):
    """All that is remembered of a source in trouble; of any other, nothing."""

    episodes: tuple[EpisodeState, EpisodeState]  # one a kind, in the order of KINDS
    stream_time: int  # the partition's beat time at the source's last beat, ms since the epoch
    offset: int  # of that beat

    @property
    def is_over(self) -> bool:
        shape, signal = self.episodes
        return shape.is_quiet and signal.is_quiet


@dataclass(frozen=True, slots=True)
class Event:
    """An episode opened or closed; `row` is the beat of the batch that caused it."""

    name: EventName
    kind: Kind
    source: bytes
    row: int
    episode: EpisodeState
    silent: bool = False


def advance(
    episode: EpisodeState, rule: EpisodeRule, *, cause: int, offset: int, time: int
) -> tuple[EpisodeState, EventName | None]:
    """The track after one more beat, and what that beat caused; `cause` is 0 for a beat that is not flagged."""
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


def rest(episode: EpisodeState, rule: EpisodeRule, beats: int) -> EpisodeState:
    """The track after unflagged beats in a row, of which all but the last cause nothing: so many times `advance`."""
    recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, cause = episode
    recent = recent << beats & ((1 << rule.window) - 1)
    length = min(length + beats, rule.window)
    unflagged, seen_beats = unflagged + beats, seen_beats + beats
    return EpisodeState._make((recent, length, unflagged, opened_offset, opened_at, flagged_beats, seen_beats, cause))
