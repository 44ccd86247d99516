"""Decides how long the broker collects records before it answers a fetch. No I/O.

An answer with one record costs as much as an answer with a hundred. At a few beats a second the broker answers as soon
as a beat is there; without beats it answers twice a second. From a few hundred beats a second on, each fetch asks for
as many bytes as come in 5 ms. When the monitor is behind, that many bytes are always there, and no fetch waits.
"""

from __future__ import annotations

import math

COLLECT_SECONDS = 0.005
MEMORY_SECONDS = 0.5  # time constant of the rate
IDLE_WAIT_MS = 500
MOST_BYTES = 64 * 1024


class FetchPace:
    """Decides what to ask for next, from the sizes and times of the answers so far."""

    def __init__(self, max_wait_ms: int) -> None:
        """`max_wait_ms`: how long the broker may collect at most, once many beats come."""
        self._max_wait_ms = max_wait_ms
        self._rate = 0.0  # bytes a second
        self._answered: float | None = None
        self._record_bytes = 0.0

    def observe(self, records: int, size: int, now: float) -> None:
        """`records` with `size` bytes in total came at `now`, seconds of a monotonic clock."""
        if self._answered is not None and now > self._answered:
            weight = 1 - math.exp(-(now - self._answered) / MEMORY_SECONDS)
            self._rate += weight * (size / (now - self._answered) - self._rate)
        self._answered = now
        self._record_bytes = size / records if records else self._record_bytes

    def ask(self) -> tuple[int, int]:
        """The fewest bytes to answer with, and the milliseconds after which to answer with less."""
        wanted = self._rate * COLLECT_SECONDS
        if wanted <= self._record_bytes or not self._max_wait_ms:
            return 1, max(IDLE_WAIT_MS, self._max_wait_ms)
        return int(min(wanted, MOST_BYTES)), self._max_wait_ms
