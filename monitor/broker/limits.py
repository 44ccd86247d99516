"""Sizes and times of what is read and sent. Both Kafka clients keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.beats.beat import FLOAT32_BYTES, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.settings import Settings

WAIT_SECONDS = 5.0  # for acknowledgements, before the loop looks around
TRANSACTION_MS = 10_000  # after this the broker ends the transaction of a monitor that died, and readers go on
MAX_REQUEST_BYTES = 64 * 1024 * 1024  # the broker's own limit decides what is too large
BATCH_BYTES = 128 * 1024  # so that one batch holds the state of a partition: of several, each waits for the last
COLLECTED_BYTES = 64 * 1024
LEAST_WAIT_MS, IDLE_WAIT_MS = 5, 100
MAX_INFLATED_BYTES = 64 * 1024 * 1024  # of one batch of records
MAX_READ_BYTES = 1_000_000  # of the value of one record: no dead letter holds more
READ_BYTES = 8 * 1024 * 1024  # of one poll for records of other topics than the beats
RECORD_BYTES = 1024  # what a record of a full step may take on average; a beat as float32 takes 560
LEAST_BYTES, LEAST_RECORDS = 64 * 1024, 16
LEAST_STEP_BYTES = 4 * 1024 * 1024  # of a full step, however few records it may have: some hundred JSON beats
# What a value counts that is no float32 beat: so much more, and so much at least; more where no JSON beat is as large.
OTHER_FACTOR, OTHER_BYTES = 4, 4096
LARGE_FACTOR, LARGE_BYTES = 8, 4096
SLOW_SECONDS, QUICK_SECONDS = 1.0, 0.25


@dataclass(frozen=True, slots=True)
class StepLimit:
    """How much one poll may bring: so many records, and no further one once they have so many bytes, see `weight`."""

    records: int
    bytes: int

    @classmethod
    def full(cls, settings: Settings) -> StepLimit:
        """The limit of a step while all is well."""
        return cls(settings.batch_size, max(LEAST_STEP_BYTES, settings.batch_size * RECORD_BYTES))

    def after(self, seconds: float, full: StepLimit) -> StepLimit:
        """The next limit after a step that took so long.

        Half of it after a slow one, such as one whose delivery has timed out: what costs more time than usual, such as
        objects with thousands of fields, then holds up other sources for a bounded time. Twice as much after a quick
        one. Between the two times it stays.
        """
        if seconds > SLOW_SECONDS:
            records = max(min(LEAST_RECORDS, full.records), self.records // 2)
            return StepLimit(records, max(LEAST_BYTES, self.bytes // 2))
        if seconds < QUICK_SECONDS:
            return StepLimit(min(full.records, 2 * self.records), min(full.bytes, 2 * self.bytes))
        return self


def weight(sizes: Sequence[int]) -> int:
    """What values of these sizes, in bytes, count towards the bytes of a step.

    A float32 beat counts its bytes. Anything else costs more time: the worst JSON 0.2 µs a byte, the shortest piece of
    junk 0.1 ms with its dead letter. Counted like this, a step of junk takes about as long as one of beats.
    """
    if sizes.count(FLOAT32_BYTES) == len(sizes):
        return sum(sizes)
    return sum(map(_weight, sizes))


def _weight(size: int) -> int:
    if size == FLOAT32_BYTES:
        return size
    if size > LARGE_BYTES:  # beyond MAX_VALUE_BYTES it is refused unread
        return max(size, LARGE_FACTOR * min(size, MAX_VALUE_BYTES))
    return max(OTHER_BYTES, OTHER_FACTOR * size)


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
