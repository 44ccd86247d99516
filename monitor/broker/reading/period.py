"""Reads the records of a topic between two times, without a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.broker.blocks import block_place, join
from monitor.broker.choice import kafka_client
from monitor.broker.limits import StepLimit
from monitor.broker.reading.reader import found_partitions, polls
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.broker.blocks import RecordBlock
    from monitor.records.record import Records
    from monitor.settings import Settings

STEP = StepLimit(32_768, 32 * 1024 * 1024)  # records and bytes that are given together
POLL_SECONDS = 0.5


class PeriodReader:
    """The committed records of one topic: in each partition from the first one at `from_ms` to the first at `to_ms`.

    Times are in ms since the epoch. Where publishers set the times, a record with another time may stand between them.
    """

    def __init__(self, settings: Settings, topic: str, from_ms: int, to_ms: int) -> None:
        self._topic = topic
        self._client = kafka_client(settings).topic(settings, topic)
        try:
            bounds = self._client.ends(found_partitions(self._client, topic))
            self._ends = self._at(to_ms, bounds)
            self._firsts = self._at(from_ms, self._ends)
        except BrokerError:
            self.close()
            raise

    def _at(self, time_ms: int, ends: Mapping[int, int]) -> dict[int, int]:
        """Offset of the first record at this time in each partition, at most `ends`."""
        found = self._client.offsets_at(ends, time_ms)
        return {partition: min(found.get(partition, end), end) for partition, end in ends.items()}

    @property
    def firsts(self) -> dict[int, int]:
        """Offset of the first record of each partition."""
        return dict(self._firsts)

    @property
    def count(self) -> int:
        """How many offsets lie in the period; some are of no record."""
        return sum(self._ends.values()) - sum(self._firsts.values())

    def steps(self) -> Iterator[Records]:
        """The records of all partitions side by side, in steps of about STEP.

        A step has none where none came for a moment, so that the caller can end. Raises BrokerError when none comes for
        a minute.
        """
        ends = {partition: end for partition, end in self._ends.items() if self._firsts[partition] < end}
        self._client.start({partition: self._firsts[partition] for partition in ends})
        came: list[RecordBlock] = []
        reading, room = set(ends), STEP

        def poll() -> list[RecordBlock]:
            return self._client.poll_blocks(room, POLL_SECONDS)

        for blocks in polls(self._client, self._topic, ends, poll):
            self._stop_read(reading, ends)
            came += [block for one in blocks if len(block := one.before(ends[one.partition]))]
            records, size = sum(map(len, came)), sum(block.bytes for block in came)
            room = StepLimit(STEP.records - records, STEP.bytes - size)
            if not blocks or room.records <= 0 or room.bytes <= 0:
                yield self._joined(came)
                came, room = [], STEP
        if came:
            yield self._joined(came)

    def _stop_read(self, reading: set[int], ends: Mapping[int, int]) -> None:
        """Read no more of the partitions that have come to their ends: else it would go on until all have."""
        positions = self._client.positions()
        for partition in [one for one in reading if positions.get(one, 0) >= ends[one]]:
            self._client.stop(partition)
            reading.remove(partition)

    def _joined(self, blocks: list[RecordBlock]) -> Records:
        return join(self._topic, sorted(blocks, key=block_place), {}, frozenset())

    def close(self) -> None:
        self._client.close()
