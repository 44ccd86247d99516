"""Frequent ectopy, such as bigeminy: many single beats that are not like their source, without a run of them.

Constants: measured on MIT-BIH 100 to 124, docs/experiments.md. They do not move with MONITOR_SENSITIVITY: from 2.6 to
4.0 a least score finds the same stretches, and only the false alarms change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.recent.source_order import SourceOrder, recent_bits
from monitor.alarms.rule import AFTER_RUN, FREQUENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 16  # of the carry


@dataclass(frozen=True, slots=True)
class EctopyRule:
    """When single beats are frequent."""

    least: float = 3.4  # score of a single beat
    flagged: int = 4  # k: single beats
    window: int = 8  # n: among this many last beats, at most BITS
    after_run: int = 5  # beats that are part of the run before them, less than BITS: as many as close its episode


class EctopyCarry(NamedTuple):
    """What is remembered of the last beats of k sources, a bit for each, the newest lowest."""

    singles: NDArray[np.uint16]  # (k,), 1 = a single beat
    runs: NDArray[np.uint16]  # (k,), 1 = flagged by the rule `run`

    @classmethod
    def blank(cls, count: int) -> EctopyCarry:
        """Of sources without a beat."""
        return cls(np.zeros(count, np.uint16), np.zeros(count, np.uint16))


def ectopy(
    rule: EctopyRule,
    carry: EctopyCarry,
    source: NDArray[np.integer],
    score: NDArray[np.float32],
    run: NDArray[np.integer],
) -> tuple[NDArray[np.int8], EctopyCarry]:
    """What single beats say at each of n beats (n,), see `BeatFlags.frequent`, and the carry after them.

    `score` (n,): personal; NaN is no single beat. `run` (n,): above 0 where the rule `run` flags a beat. Sources
    without any such beat among their last ones, nearly all of them, cost little.
    """
    found = np.zeros(len(source), np.int8)
    is_single, is_run = score > rule.least, run > 0
    has_any = (carry.singles | carry.runs) > 0
    has_any[source[is_single | is_run]] = True
    at = np.flatnonzero(has_any[source])
    if not len(at):
        return found, carry
    sources = SourceOrder.of(source[at], len(has_any))
    beat = at[sources.beat]
    singles = recent_bits(sources, is_single[beat], carry.singles, rule.window)
    runs = recent_bits(sources, is_run[beat], carry.runs, rule.after_run + 1)
    is_told = (np.bitwise_count(singles) >= rule.flagged) | is_run[beat]
    found[beat] = np.where(is_told, np.where(runs & ~np.uint16(is_run[beat]) > 0, AFTER_RUN, FREQUENT), 0)
    return found, EctopyCarry(sources.last(singles, carry.singles), sources.last(runs, carry.runs))
