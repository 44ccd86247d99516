"""Sizes and times of what is read and sent. Both Kafka clients keep them."""

from __future__ import annotations

WAIT_SECONDS = 5.0  # for acknowledgements, before the loop looks around
TRANSACTION_MS = 10_000  # after this the broker ends the transaction of a monitor that died, and readers go on
MAX_REQUEST_BYTES = 64 * 1024 * 1024  # the broker's own limit decides what is too large
BATCH_BYTES = 128 * 1024  # so that one batch holds the state of a partition: of several, each waits for the last
COLLECTED_BYTES = 64 * 1024
LEAST_WAIT_MS, IDLE_WAIT_MS = 5, 100


def fetch_pace(max_wait_ms: int) -> tuple[int, int]:
    """When the broker answers a fetch: once so many bytes are there, or after so many milliseconds.

    An answer for each beat would take five times the processor time. With a shorter time than LEAST_WAIT_MS an idle
    consumer would ask too often: then each beat is an answer, and the time is only how often an idle one asks.
    """
    if max_wait_ms < LEAST_WAIT_MS:
        return 1, IDLE_WAIT_MS
    return COLLECTED_BYTES, max_wait_ms


def heartbeat_ms(session_timeout_ms: int) -> int:
    """How often a member of the group reports: three times in a session, every 3 s at least."""
    return max(100, min(3000, session_timeout_ms // 3))
