"""How long the broker is to collect records before it answers a fetch: as long as it saves work and nobody notices.

An answer costs the same whether it brings one record or a hundred. At a few beats a second each is answered at once,
and an idle broker is asked twice a second; from some hundred beats a second on, what comes in within 5 ms is asked for
together; when the monitor is behind, there is always more than that, and nothing waits. Pure.
"""

from __future__ import annotations

import math

COLLECT_SECONDS = 0.005
MEMORY_SECONDS = 0.5  # how far back the rate looks
IDLE_WAIT_MS = 500
MOST_BYTES = 64 * 1024


class FetchPace:
    """What to ask of the broker, after what it brought so far."""

    def __init__(self, max_wait_ms: int) -> None:
        """`max_wait_ms`: how long it may collect at most, once beats come in numbers."""
        self._max_wait_ms = max_wait_ms
        self._rate = 0.0  # bytes a second
        self._heard: float | None = None
        self._record_bytes = 0.0

    def hear(self, records: int, size: int, now: float) -> None:
        """So many records of `size` bytes together came at `now`, seconds of a clock that never goes back."""
        if self._heard is not None and now > self._heard:
            weight = 1 - math.exp(-(now - self._heard) / MEMORY_SECONDS)
            self._rate += weight * (size / (now - self._heard) - self._rate)
        self._heard = now
        self._record_bytes = size / records if records else self._record_bytes

    def ask(self) -> tuple[int, int]:
        """The least number of bytes to answer with, and the milliseconds after which to answer anyway."""
        wanted = self._rate * COLLECT_SECONDS
        if wanted <= self._record_bytes or not self._max_wait_ms:
            return 1, max(IDLE_WAIT_MS, self._max_wait_ms)
        return int(min(wanted, MOST_BYTES)), self._max_wait_ms
