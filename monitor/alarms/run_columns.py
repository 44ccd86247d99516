"""The rule `run` for beats of many sources at once: in a few NumPy calls.

Beats of a source that have no personal score are left out by the caller. What the rule has to remember of a source is a
row of `RunCarry`; with it, the flags do not depend on how the beats are cut into batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from monitor.alarms.run_rule import (
    FAST_MS,
    LONG_RUN,
    LOWEST,
    PRIORITIES,
    STRONG_BEATS,
    VERY_FAST_MS,
    WEAK_BEATS,
    WEAK_TRIPLES,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.run_rule import RunRule

MAX_RUN = 2**31 - 1  # counted no further
_Number = TypeVar("_Number", bound=np.number)
_MEDIUM, _HIGH = PRIORITIES.index("medium"), PRIORITIES.index("high")


class RunCarry(NamedTuple):
    """What is remembered of k sources."""

    scores: NDArray[np.float32]  # (k, 2), the one before the last beat's, and the last beat's; LOWEST: not above least
    weak: NDArray[np.int16]  # (k,), weak triples in a row, counted up to WEAK_TRIPLES
    run: NDArray[np.int32]  # (k,), flagged beats in a row
    rr_ms: NDArray[np.int32]  # (k, 2), of the same two beats; 0: not known, or the score is LOWEST

    @classmethod
    def empty(cls, count: int) -> RunCarry:
        """Of sources without a beat."""
        scores = np.full((count, 2), LOWEST, np.float32)
        return cls(scores, np.zeros(count, np.int16), np.zeros(count, np.int32), np.zeros((count, 2), np.int32))


class RunFlags(NamedTuple):
    """What the rule says about n beats."""

    run: NDArray[np.int32]  # (n,), flagged beats in a row; 0: not flagged
    priority: NDArray[np.int8]  # (n,), index into PRIORITIES; 0 where the beat is not flagged


class _Ordered(NamedTuple):
    """n > 0 beats, source by source, in the order of their times."""

    source: NDArray[np.intp]  # (n,)
    number: NDArray[np.intp]  # (n,), of the beat among those of its source, from 0
    score: NDArray[np.float64]  # (n,), LOWEST where no flagged beat has it
    rr_ms: NDArray[np.int64]  # (n,)


def flag(
    rule: RunRule, carry: RunCarry, source: NDArray[np.integer], score: NDArray[np.float32], rr_ms: NDArray[np.integer]
) -> tuple[RunFlags, RunCarry]:
    """Apply the rule to n beats of k sources; returns the flags and the carry after the beats.

    `source` (n,) is the index of each beat's source in `carry`; the beats of a source are in their order. `score` (n,)
    holds numbers. `rr_ms` (n,) is 0 where it is not known.
    """
    if not len(source):
        return RunFlags(np.zeros(0, np.int32), np.zeros(0, np.int8)), carry
    order = np.argsort(source.astype(np.min_scalar_type(len(carry.run))), kind="stable")  # 16 bits: by radix
    beats = _ordered(rule, source[order], score[order], rr_ms[order])
    three = _with_before(beats.score, carry.scores, beats)
    is_flagged, is_weak, weak = _flagged(rule, three, carry, beats)
    run = _counted(is_flagged, is_weak, carry, beats)
    counted_rr = np.where(beats.score > LOWEST, beats.rr_ms, 0)
    rr = _with_before(counted_rr, carry.rr_ms, beats)
    after = _carried(carry, beats, RunCarry(three[:, 1:].astype(np.float32), weak, run, rr[:, 1:].astype(np.int32)))
    flags = RunFlags(np.empty(len(run), np.int32), np.empty(len(run), np.int8))
    flags.run[order], flags.priority[order] = run, _priority(run, rr)
    return flags, after


def _ordered(
    rule: RunRule, source: NDArray[np.integer], score: NDArray[np.float32], rr_ms: NDArray[np.integer]
) -> _Ordered:
    """Beats that are already in order. As float64, in which sums of three scores that count are exact."""
    is_first = np.diff(source, prepend=-1) != 0
    at = np.arange(len(source))
    number = at - np.maximum.accumulate(np.where(is_first, at, 0))
    exact = score.astype(np.float64)
    return _Ordered(
        source.astype(np.intp),
        number,
        np.where(exact > rule.weak_least, exact, LOWEST),
        np.clip(rr_ms, 0, MAX_RUN).astype(np.int64),
    )


def _with_before(column: NDArray[_Number], carried: NDArray[np.number], beats: _Ordered) -> NDArray[_Number]:
    """Each value of a column (n,) with the two of the same source before it, the newest last (n, 3)."""
    three = np.empty((len(column), 3), column.dtype)
    three[:, 2] = column
    three[1:, 1] = column[:-1]
    three[2:, 0] = column[:-2]
    first, second = np.flatnonzero(beats.number == 0), np.flatnonzero(beats.number == 1)
    three[first, :2] = carried[beats.source[first]]
    three[second, 0] = carried[beats.source[second], 1]
    return three


def _flagged(
    rule: RunRule, three: NDArray[np.float64], carry: RunCarry, beats: _Ordered
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int16]]:
    """Whether each beat is flagged, whether as a weak one, and weak triples in a row (n,)."""
    lowest = np.minimum(np.minimum(three[:, 0], three[:, 1]), three[:, 2])
    is_high = three[:, 0] + three[:, 1] + three[:, 2] > STRONG_BEATS * rule.mean
    weak = _in_a_row(is_high & (lowest > rule.weak_least), carry.weak, beats)
    is_weak = weak >= WEAK_TRIPLES
    return is_weak | (is_high & (lowest > rule.least)), is_weak, weak


def _in_a_row(holds: NDArray[np.bool_], carried: NDArray[np.int16], beats: _Ordered) -> NDArray[np.int16]:
    """How often in a row it holds, up to each beat of a source (n,), counted up to WEAK_TRIPLES."""
    at = np.arange(len(holds))
    failed = np.maximum.accumulate(np.where(holds, -1, at))  # the last beat of any source at which it did not hold
    count = at - failed
    is_from_before = count > beats.number
    count = np.where(is_from_before, beats.number + 1 + carried[beats.source], count)
    return np.minimum(count, WEAK_TRIPLES).astype(np.int16)


def _counted(
    is_flagged: NDArray[np.bool_], is_weak: NDArray[np.bool_], carry: RunCarry, beats: _Ordered
) -> NDArray[np.int32]:
    """Flagged beats in a row (n,): one more than at the beat before, but at least as many as flagged this one."""
    run = np.zeros(len(is_flagged), np.int32)
    at = np.flatnonzero(is_flagged)
    if not len(at):
        return run
    number = np.arange(len(at))
    least = np.where(is_weak[at], WEAK_BEATS, STRONG_BEATS)
    is_first = beats.number[at] == 0
    least[is_first] = np.maximum(least, carry.run[beats.source[at]].astype(np.int64) + 1)[is_first]
    is_start = is_first | (np.diff(at, prepend=-2) != 1)
    step = MAX_RUN + len(at) + 1  # keeps the stretches apart in one running maximum
    stretch = np.cumsum(is_start) * step
    counted = np.maximum.accumulate(least - number + stretch) - stretch + number
    run[at] = np.minimum(counted, MAX_RUN)
    return run


def _priority(run: NDArray[np.int32], rr: NDArray[np.int64]) -> NDArray[np.int8]:
    """The priority at each beat (n,), from the RR that are known of the last three (n, 3)."""
    priority = np.zeros(len(run), np.int8)
    at = np.flatnonzero(run)
    known = rr[at] > 0
    count = known.sum(axis=1)
    total = np.where(known, rr[at], 0).sum(axis=1)
    is_fast, is_very_fast = ((count > 0) & (total < most * count) for most in (FAST_MS, VERY_FAST_MS))
    is_high = is_very_fast | (is_fast & (run[at] >= LONG_RUN))
    priority[at] = np.where(is_high, _HIGH, np.where(is_fast, _MEDIUM, 0))
    return priority


def _carried(carry: RunCarry, beats: _Ordered, columns: RunCarry) -> RunCarry:
    """The carry after the beats: that of each source's last beat, unchanged for sources without a beat."""
    last = np.flatnonzero(np.diff(beats.source, append=-1))
    if len(last) == len(carry.weak):
        return RunCarry(columns.scores[last], columns.weak[last], columns.run[last], columns.rr_ms[last])
    source = beats.source[last]
    after = RunCarry(carry.scores.copy(), carry.weak.copy(), carry.run.copy(), carry.rr_ms.copy())
    after.scores[source], after.weak[source] = columns.scores[last], columns.weak[last]
    after.run[source], after.rr_ms[source] = columns.run[last], columns.rr_ms[last]
    return after
