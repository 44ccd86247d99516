"""The rule `run` with its episodes for one source, one beat at a time. `run_columns` must flag exactly the same."""

from __future__ import annotations

from typing import NamedTuple

from monitor.alarms.run_rule import (
    FAST_MS,
    LONG_RUN,
    LOWEST,
    MERGE_MS,
    STRONG_BEATS,
    VERY_FAST_MS,
    WEAK_BEATS,
    WEAK_TRIPLES,
    RunRule,
)

CLOSE = 5  # beats in a row that are not flagged
FLAGGED, WINDOW = 3, 5  # abnormal beats that open an episode while the source learns, among so many last beats


class ScoredBeat(NamedTuple):
    """One beat of a source."""

    offset: int
    time: int  # ms since the epoch
    score: float | None  # None while the source learns
    rr_ms: int = 0  # 0 where it is not known
    is_abnormal: bool = False  # by the population score; counts only while the source learns


class RunState(NamedTuple):
    """What is remembered of one source. Numbers alone, so that it can be stored."""

    before: float = LOWEST  # score of the last beat; LOWEST where it is at most `weak_least`
    second: float = LOWEST  # score of the one before
    weak: int = 0  # beats in a row at which three score above `weak_least`, and on average above `mean`; 4 at most
    run: int = 0  # flagged beats in a row, those before the first flagged one included
    rr_before: int = 0  # ms, of the last beat
    rr_second: int = 0
    recent: int = 0  # bits of the last beats while the source learns, the newest lowest: 1 = abnormal
    unflagged: int = 0  # in a row, while an episode is open
    is_open: bool = False
    opened_offset: int = -1  # of the beat at which the episode opened first; -1 where there is none
    opened_at: int = 0  # its time, ms since the epoch
    closed_at: int = 0  # time of the beat at which it last closed, ms; counts while it is not open
    priority: int = 0  # index into PRIORITIES
    flagged_beats: int = 0  # since it opened first
    seen_beats: int = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing needs to be remembered."""
        return self == QUIET_RUN


QUIET_RUN = RunState()


class _Judged(NamedTuple):
    """One beat and those before it."""

    run: int  # flagged beats in a row up to it, with those before that made the first of them flagged; 0: not flagged
    weak: int  # as in `RunState`
    recent: int  # as in `RunState`


def after_scored_beat(state: RunState, rule: RunRule, beat: ScoredBeat) -> tuple[RunState, str | None]:
    """The state after one more beat, and what the beat caused. A beat causes at most one event."""
    if state.opened_offset >= 0 and not state.is_open and beat.time - state.closed_at > MERGE_MS:
        state = _without_episode(state)
    judged = _abnormal(state, beat) if beat.score is None else _scored(state, rule, beat.score)
    priority = _priority(judged.run, (beat.rr_ms, state.rr_before, state.rr_second))
    counts = judged.run > 0
    score = beat.score if beat.score is not None and beat.score > rule.weak_least else LOWEST
    rr_ms = beat.rr_ms if score > LOWEST else 0
    state = state._replace(
        before=score, second=state.before, weak=judged.weak, run=judged.run, recent=judged.recent,
        rr_before=rr_ms, rr_second=state.rr_before,
    )  # fmt: skip
    if state.is_open:
        return _while_open(state, beat.time, priority)
    if not counts:
        return state, None
    if state.opened_offset >= 0:
        return _counted(state, priority)._replace(is_open=True), "reopened"
    opened = state._replace(is_open=True, opened_offset=beat.offset, opened_at=beat.time, priority=priority)
    return opened._replace(flagged_beats=judged.run, seen_beats=judged.run), "opened"


def _without_episode(state: RunState) -> RunState:
    """Only what is remembered of the last beats."""
    return QUIET_RUN._replace(
        before=state.before,
        second=state.second,
        weak=state.weak,
        run=state.run,
        rr_before=state.rr_before,
        rr_second=state.rr_second,
        recent=state.recent,
    )


def _scored(state: RunState, rule: RunRule, score: float) -> _Judged:
    """A beat of a source with a profile."""
    three = state.second, state.before, score
    lowest, is_high = min(three), sum(three) > STRONG_BEATS * rule.mean
    weak = min(state.weak + 1, WEAK_TRIPLES) if is_high and lowest > rule.weak_least else 0
    run = 0
    if is_high and lowest > rule.least:
        run = max(state.run + 1, STRONG_BEATS)
    if weak == WEAK_TRIPLES:
        run = max(state.run + 1, WEAK_BEATS)
    return _Judged(run, weak, 0)


def _abnormal(state: RunState, beat: ScoredBeat) -> _Judged:
    """A beat of a source that still learns: the population score decides. While open, an abnormal beat is flagged."""
    recent = (state.recent << 1 | beat.is_abnormal) & ((1 << WINDOW) - 1)
    if state.is_open:
        return _Judged(state.run + 1 if beat.is_abnormal else 0, 0, recent)
    return _Judged(recent.bit_count() if recent.bit_count() >= FLAGGED else 0, 0, recent)


def _while_open(state: RunState, time: int, priority: int) -> tuple[RunState, str | None]:
    """The state after a beat of an open episode."""
    after = _counted(state, priority)
    if after.unflagged >= CLOSE:
        return after._replace(is_open=False, closed_at=time, unflagged=0), "closed"
    return after, "raised" if after.priority > state.priority else None


def _counted(state: RunState, priority: int) -> RunState:
    """With one more beat in the counts of the episode. The priority only rises."""
    return state._replace(
        unflagged=0 if state.run else state.unflagged + 1,
        flagged_beats=state.flagged_beats + (state.run > 0),
        seen_beats=state.seen_beats + 1,
        priority=max(state.priority, priority),
    )


def _priority(run: int, rr_ms: tuple[int, int, int]) -> int:
    """Of an episode at a beat with so many flagged beats in a row; 0 (low) where the rate is not known."""
    known = [rr for rr in rr_ms if rr > 0]
    mean = sum(known) / len(known) if run and known else float("inf")
    if mean < VERY_FAST_MS or (mean < FAST_MS and run >= LONG_RUN):
        return 2
    return 1 if mean < FAST_MS else 0
