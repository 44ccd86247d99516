"""Records for tests, and a broker that plays a script of polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.broker import KafkaBroker
from monitor.broker.writing.publisher import StampedMessage
from monitor.errors import BrokerError, MonitorError, RewoundError
from monitor.records.column import Column
from monitor.records.record import BrokerFacts, Records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.records.record import Checkpoint, Message
    from monitor.records.stream_time import StreamTime
    from monitor.settings import Settings


def records(
    values: Sequence[bytes | None],
    *,
    keys: Sequence[bytes | None] | None = None,
    times: Sequence[int] | None = None,
    partition: int = 0,
    first_offset: int = 0,
) -> Records:
    """Records of one partition, a second apart unless `times` are given."""
    n = len(values)
    return Records(
        topic="ecg.beats",
        partition=np.full(n, partition, np.int32),
        offset=np.arange(first_offset, first_offset + n, dtype=np.int64),
        time=np.array(times if times is not None else range(0, 1000 * n, 1000), np.int64),
        key=Column.of(keys if keys is not None else [b"source"] * n),
        value=Column.of(values),
        headers=((),) * n,
    )


def kafka_broker(settings: Settings) -> KafkaBroker:
    """A Kafka broker with these settings, not yet connected."""
    return KafkaBroker(settings)


class FakeBroker:
    """Returns the polls of a script in order, independent of deliveries.

    For tests of the loop that need polls which a log does not give on demand: the same records once more, a partition
    that is assigned or revoked at this very poll, offsets that were reset, unexpected state. All other tests
    use `monitor.broker.MemoryBroker`, which has a log, a group and the whole contract; this class has neither.

    `failures` makes the next calls of `deliver` fail after their messages were sent, `rewinds` makes them rewind.
    `is_behind`: whether the remaining polls are fetched already.
    """

    def __init__(self, log: Sequence[Records] = ()) -> None:
        self.log = list(log)
        self.delivered: list[Message] = []
        self.committed: dict[int, int] = {}
        self.stream_times: dict[int, StreamTime] = {}
        self.failures = 0
        self.rewinds = 0
        self.is_settled = True
        self.closed = False
        self.is_behind = False
        self.begun: list[Checkpoint] = []
        self._acknowledged: Checkpoint | None = None

    def poll(self) -> Records:
        return self.log.pop(0) if self.log else records([])

    def has_more(self) -> bool:
        return self.is_behind and bool(self.log)

    def begin(self, checkpoint: Checkpoint) -> None:
        self.begun.append(checkpoint)

    def deliver(self, checkpoint: Checkpoint) -> None:
        if self.rewinds and checkpoint:
            self.rewinds -= 1
            self.is_settled = False
            raise RewoundError("the fake broker takes nothing")
        if checkpoint is not self._acknowledged:
            self.delivered.extend((*checkpoint.messages, *checkpoint.deletions))
            self._acknowledged = checkpoint
        if self.failures:
            self.failures -= 1
            raise BrokerError("the fake broker is unavailable")
        self.is_settled |= bool(checkpoint)
        self.committed.update(checkpoint.offsets)
        self.stream_times.update(checkpoint.stream_times)

    def settled(self) -> bool:
        return self.is_settled

    def lag(self) -> Mapping[int, int]:
        return {0: sum(map(len, self.log))}

    def held_back(self) -> Mapping[int, int]:
        return {0: 0}

    def obstacle(self) -> str:
        return ""

    def joined(self) -> bool:
        return True

    def facts(self) -> BrokerFacts:
        return BrokerFacts()

    def close(self) -> None:
        self.closed = True


class FakePublisher:
    """Takes records as `Publisher` does, into a list that others share. `faults` are raised by the next flushes."""

    def __init__(self, taken: list[StampedMessage], faults: Sequence[MonitorError | None] = ()) -> None:
        self.taken, self.faults = taken, list(faults)
        self.acknowledged = 0
        self.is_open = True
        self._sent: list[StampedMessage] = []

    def send(self, message: Message, timestamp_ms: int | None = None) -> None:
        self._sent.append(StampedMessage(message, timestamp_ms))

    def find(self, topic: str) -> None:
        pass

    def flush(self, seconds: float = 0.0) -> None:  # noqa: ARG002 - no time passes here
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.taken += self._sent
        self.acknowledged += len(self._sent)
        self._sent = []

    def unacknowledged(self) -> list[StampedMessage]:
        return list(self._sent)

    def discard(self) -> None:
        self.is_open = False

    def close(self) -> None:
        self.is_open = False
