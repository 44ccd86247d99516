"""Reads the records of a topic between two times, without a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.broker.choice import kafka_client
from monitor.broker.client import TopicRecord
from monitor.broker.reading.reader import found_partitions, read_to_end
from monitor.errors import BrokerError
from monitor.records.column import Column
from monitor.records.record import Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.settings import Settings

STEP_RECORDS = 16_384  # that are given together
IDLE_SECONDS = 60.0  # without a record: then a transaction is open, or the broker is gone


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
        """The records, some STEP_RECORDS at a time, one partition after the other.

        Raises BrokerError when no record comes for IDLE_SECONDS.
        """
        for partition, first in self._firsts.items():
            if first < self._ends[partition]:
                self._client.start({partition: first})
                yield from self._steps_of(partition)

    def _steps_of(self, partition: int) -> Iterator[Records]:
        end, came = self._ends[partition], list[TopicRecord]()
        for record in read_to_end(self._client, self._topic, {partition: end}, idle_seconds=IDLE_SECONDS):
            if record.partition == partition and record.offset < end:
                came.append(record)
            if len(came) >= STEP_RECORDS:
                yield _records(self._topic, came)
                came = []
        if came:
            yield _records(self._topic, came)

    def close(self) -> None:
        self._client.close()


def _records(topic: str, came: Sequence[TopicRecord]) -> Records:
    partition, offset, time_ms, key, value, headers = zip(*came, strict=True)
    return Records(
        topic,
        np.array(partition, np.int32),
        np.array(offset, np.int64),
        np.array(time_ms, np.int64),
        Column.of(key),
        Column.of(value),
        headers,
    )
