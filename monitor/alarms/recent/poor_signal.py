"""Poor signal: a lead that was noisy for most of a minute.

At a beat the signal is poor when the median of the last eight noise values is high. A minute of the beats' own time in
which it was poor for more than half of it makes the beats of the next minute *noisy*. That is a technical cause which
only marks: beats are judged as before, since noise hides fibrillation and looks like it. Noise is held against that of
the source while it learned, so that without a profile nothing is noisy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.recent.source_order import SourceOrder, recent_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIGH = 1.2  # in log units: 3.3 times as loud as while the source learned
LAST, LEAST_HIGH = 8, 5  # so many of the last beats are high when their lower median is
MINUTE_MS = 60_000
LONGEST_STEP_SECONDS = 3.0  # between two beats that counts as time with beats
NO_MINUTE = np.iinfo(np.int32).min


class SignalCarry(NamedTuple):
    """What is remembered of k sources."""

    recent: NDArray[np.uint16]  # (k,), bits of the last beats, the newest lowest: 1 = high noise
    minute: NDArray[np.int32]  # (k,), of the last beat, minutes since the epoch
    poor_ms: NDArray[np.int32]  # (k,), time of poor signal in this minute
    is_noisy: NDArray[np.bool_]  # (k,), whether the minute before was poor

    @classmethod
    def blank(cls, count: int) -> SignalCarry:
        """Of sources without a beat."""
        bits, poor = np.zeros(count, np.uint16), np.zeros(count, np.int32)
        return cls(bits, np.full(count, NO_MINUTE, np.int32), poor, np.zeros(count, np.bool_))


@dataclass(frozen=True, slots=True)
class SignalBeats:
    """n beats of k sources."""

    source: NDArray[np.integer]  # (n,), which of the k sources
    time_ms: NDArray[np.int64]  # (n,)
    rr_seconds: NDArray[np.float32]  # (n,), NaN where it is not known: such a beat takes no time
    noise: NDArray[np.float32]  # (n,), of `monitor.profiles.Scored`; NaN where it is not known


def poor_signal(carry: SignalCarry, beats: SignalBeats) -> tuple[NDArray[np.bool_], SignalCarry]:
    """Whether each of n beats (n,) is noisy."""
    sources = SourceOrder.of(beats.source, len(carry.recent))
    bits = recent_bits(sources, beats.noise[sources.beat] >= HIGH, carry.recent, LAST)
    minute = np.clip(beats.time_ms[sources.beat] // MINUTE_MS, NO_MINUTE + 1, -(NO_MINUTE + 1)).astype(np.int32)
    steps = np.minimum(np.nan_to_num(beats.rr_seconds[sources.beat]), LONGEST_STEP_SECONDS)
    poor_ms = np.where(np.bitwise_count(bits) >= LEAST_HIGH, np.rint(1000 * steps), 0).astype(np.int64)
    minutes = _minutes(sources, minute, poor_ms, carry)
    is_noisy = np.repeat(minutes.is_noisy, minutes.counts)
    after = SignalCarry(
        sources.last(bits, carry.recent),
        sources.last(minute, carry.minute),
        sources.last(np.repeat(minutes.poor_ms, minutes.counts), carry.poor_ms),
        sources.last(is_noisy, carry.is_noisy),
    )
    return sources.back(is_noisy), after


class _Minutes(NamedTuple):
    """The beats of one source in one minute, m times."""

    counts: NDArray[np.intp]  # (m,)
    poor_ms: NDArray[np.int32]  # (m,), with those of earlier batches
    is_noisy: NDArray[np.bool_]  # (m,)


def _minutes(
    sources: SourceOrder, minute: NDArray[np.int32], poor_ms: NDArray[np.int64], carry: SignalCarry
) -> _Minutes:
    """The minutes of beats (n,) in the order of `sources`."""
    is_first = sources.rank == 0
    starts = np.flatnonzero(is_first | (np.diff(minute, prepend=NO_MINUTE) != 0))
    counts = np.diff(starts, append=len(minute))
    of, now, is_first = sources.source[starts], minute[starts].astype(np.int64), is_first[starts]
    goes_on = is_first & (now == carry.minute[of])
    total = np.add.reduceat(poor_ms, starts) if len(starts) else np.empty(0, np.int64)
    total = np.minimum(total + np.where(goes_on, carry.poor_ms[of], 0), MINUTE_MS).astype(np.int32)
    earlier_ms = np.where(is_first, carry.poor_ms[of], np.roll(total, 1))
    earlier = np.where(is_first, carry.minute[of], np.roll(now, 1))
    was_poor = (earlier_ms > MINUTE_MS // 2) & (now == earlier + 1)
    return _Minutes(counts, total, np.where(goes_on, carry.is_noisy[of], was_poor))
