"""Ends a poll once its records have so many bytes. For correctness.

kafka-python 3.0.12 limits a poll in records alone. 16,384 records of 60 KB take 148 KB on the wire, and four gigabytes
of memory here.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from monitor.broker.kafka_python import known_versions

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS_AT_ONCE = 32  # between two looks at their bytes
_VALUE_SIZE = attrgetter("serialized_value_size")
_OTHER_SIZES = tuple(map(attrgetter, ("serialized_key_size", "serialized_header_size")))


class StepBytes:
    """Bounds each poll of one consumer to `limit` bytes, which may change between two polls."""

    def __init__(self, consumer: Any, limit: int, counted: Callable[[list[int]], int] = sum) -> None:
        """`counted` says how many bytes values of these sizes count."""
        known_versions.require_known()
        self._counted = counted
        self.limit = self._left = limit
        self._append = consumer._fetcher._append
        consumer._fetcher._append = self._bounded_append

    @property
    def is_used_up(self) -> bool:
        """Whether the bytes have ended the last poll that brought records."""
        return self._left <= 0

    def _bounded_append(self, drained: Any, part: Any, max_records: int, update_offsets: bool) -> int:  # noqa: FBT001
        """Take records of one partition; returns how many. The client calls it in a loop until `max_records` came.

        Once the bytes are used up it returns `max_records`, which ends that loop.
        """
        if not drained:  # the first call of a poll
            self._left = self.limit
        count = int(self._append(drained, part, min(max_records, RECORDS_AT_ONCE), update_offsets))
        if count:
            taken = drained[part.topic_partition][-count:]
            self._left -= self._counted(list(map(_VALUE_SIZE, taken)))
            self._left -= sum(sum(map(size, taken)) for size in _OTHER_SIZES)
        return count if self._left > 0 else max_records
