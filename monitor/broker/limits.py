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
SEND_BATCH_BYTES = 512 * 1024  # of a batch that is sent; kafka-python sends one at a time to a partition
COLLECTED_BYTES = 64 * 1024  # of beats that the broker collects before it answers a fetch
LEAST_WAIT_MS, IDLE_WAIT_MS = 5, 100  # see fetch_pace
MAX_INFLATED_BYTES = 64 * 1024 * 1024  # of one batch of records
MAX_READ_BYTES = 1_000_000  # of the value of one record: no dead letter holds more
READ_BYTES = 8 * 1024 * 1024  # of one poll for records of other topics than the beats
RECORD_BYTES = 1024  # what a record of a full step may take on average; a beat as float32 takes 560
LEAST_BYTES, LEAST_RECORDS = 64 * 1024, 16  # of a step, after many slow ones
LEAST_STEP_BYTES = 4 * 1024 * 1024  # of a full step, however few records it may have: some hundred JSON beats
# What a value counts that is no float32 beat: its bytes times OTHER_FACTOR, and at least OTHER_BYTES. With more bytes
# than LARGE_BYTES it is hardly a beat, and counts its bytes times LARGE_FACTOR.
OTHER_FACTOR, OTHER_BYTES = 4, 4096
LARGE_FACTOR, LARGE_BYTES = 8, 4096
SLOW_SECONDS, QUICK_SECONDS = 1.0, 0.25  # of a step: longer is slow, shorter is quick
TIMED_OUT_SECONDS = WAIT_SECONDS  # of a step: a wait for the broker may have ended without an answer
ALIKE = 0.75  # half a step that takes more than so much of the whole one's time takes as long as it


@dataclass(frozen=True, slots=True)
class StepLimit:
    """How much one poll may bring: `records` at most, and none after those that have `bytes`, counted by `weight`."""

    records: int
    bytes: int
    before: float = 0.0  # seconds of the slow step that this one is half of; 0: it is not half of one

    @classmethod
    def full(cls, settings: Settings) -> StepLimit:
        """The limit of a step while all is well."""
        return cls(settings.batch_size, max(LEAST_STEP_BYTES, settings.batch_size * RECORD_BYTES))

    def after(self, seconds: float, full: StepLimit) -> StepLimit:
        """The limit of the next step, after one that took `seconds`.

        A slow step halves it: records that cost more time than usual, such as objects with thousands of fields, then
        hold up other sources for a bounded time. If the half takes as long, its size is not why, and it is doubled: a
        broker that takes a second for each transaction, however small, would else keep all steps small. A step that
        timed out is halved in any case. A quick step doubles it, up to `full`, and any other step adds a quarter.
        """
        if seconds > SLOW_SECONDS and not self._took_as_long(seconds):
            records = max(min(LEAST_RECORDS, full.records), self.records // 2)
            return StepLimit(records, max(LEAST_BYTES, self.bytes // 2), seconds)
        factor = 1.25 if QUICK_SECONDS <= seconds <= SLOW_SECONDS else 2
        return StepLimit(min(full.records, int(factor * self.records)), min(full.bytes, int(factor * self.bytes)))

    def _took_as_long(self, seconds: float) -> bool:
        return 0 < ALIKE * self.before < seconds < TIMED_OUT_SECONDS


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
    """The bytes that the broker collects before it answers a fetch, and the ms after which it answers anyway.

    An answer for each beat takes five times the processor time. Below LEAST_WAIT_MS the broker answers with each beat
    all the same, since an idle consumer would ask too often: an idle one then asks every IDLE_WAIT_MS.
    """
    if max_wait_ms < LEAST_WAIT_MS:
        return 1, IDLE_WAIT_MS
    return COLLECTED_BYTES, max_wait_ms


def heartbeat_ms(session_timeout_ms: int) -> int:
    """The ms between two heartbeats of a member: a third of the session time-out, from 100 ms to 3 s."""
    return max(100, min(3000, session_timeout_ms // 3))
