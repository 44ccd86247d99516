"""Whether the model knows a lead, by the first beats that it judges.

When more than half of them lie above the threshold, the lead is one that the model does not know: its verdicts would
be one long false alarm. Until the first twelve beats are there nothing is known, and the verdicts do not count either.
A lead that does not fit is looked at again every twelve beats: an electrode may have been loose when it began. A lead
that fits is not: what is abnormal later is abnormal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.recent.source_order import SourceOrder
from monitor.model.fit import LARGEST_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNDECIDED, MISFIT, FITS = range(3)  # in this order: a verdict only rises
BLOCK = 12  # beats


class FitCarry(NamedTuple):
    """What is remembered of k sources that have no profile yet."""

    beats: NDArray[np.int8]  # (k,), judged since the last multiple of BLOCK
    above: NDArray[np.int8]  # (k,), of these, those above the threshold
    verdict: NDArray[np.int8]  # (k,)

    @classmethod
    def blank(cls, count: int) -> FitCarry:
        """Of sources without a beat."""
        return cls(*(np.zeros(count, np.int8) for _ in range(3)))


def fit(carry: FitCarry, source: NDArray[np.integer], above: NDArray[np.bool_]) -> tuple[NDArray[np.int8], FitCarry]:
    """The verdict at each of n beats (n,), the beat included.

    Only beats that the model judged: scored ones of sources without a profile. `above` (n,): over the threshold.
    """
    sources = SourceOrder.of(source, len(carry.beats))
    of = sources.source
    ends = (carry.beats[of] + sources.rank + 1) % BLOCK == 0
    total = _running(sources, above[sources.beat]) + carry.above[of]
    at = np.flatnonzero(ends)
    earlier = np.zeros(len(at), np.int64)  # `total` at the end before, of the same source
    is_further = of[at[1:]] == of[at[:-1]]
    earlier[1:][is_further] = total[at[:-1]][is_further]
    found = np.zeros(len(of), np.int8)
    found[at] = np.where(total[at] - earlier > LARGEST_SHARE * BLOCK, MISFIT, FITS)
    highest = np.maximum.accumulate(of * (FITS + 1) + np.maximum(found, carry.verdict[of])) - of * (FITS + 1)
    verdict = highest.astype(np.int8)
    counted = np.zeros(len(carry.beats), np.int64)
    counted[of[at]] = total[at]  # at the last end of each source
    rest = sources.last(total, carry.above.astype(np.int64)) - counted
    beats = (carry.beats + sources.counts) % BLOCK
    after = FitCarry(beats.astype(np.int8), rest.astype(np.int8), sources.last(verdict, carry.verdict))
    return sources.back(verdict), after


def _running(sources: SourceOrder, flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of a source's beats up to each one are flagged, (n,)."""
    total = np.cumsum(flags, dtype=np.int64)
    first = np.flatnonzero(sources.rank == 0)
    before = np.repeat(total[first] - flags[first], sources.counts[sources.counts > 0])
    running: NDArray[np.int64] = total - before
    return running
