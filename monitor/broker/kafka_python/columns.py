"""Records of kafka-python as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.broker.blocks import RecordBlock
from monitor.broker.kafka_python.not_read import NotRead
from monitor.records.column import Column

if TYPE_CHECKING:
    from collections.abc import Sequence


def block_of(records: Sequence[Any]) -> RecordBlock:
    """From n > 0 records of one partition. Only their timestamps are converted one by one."""
    _, partition, _, offset, stamp, _, key, value, headers, *_ = zip(*records, strict=True)
    # a first timestamp and its delta may add up to more than 64 bits
    time = np.array([(time + 2**63) % 2**64 - 2**63 for time in stamp], np.int64)
    columns = np.array(offset, np.int64), time, Column.of(key), Column.of(value), headers
    if NotRead not in set(map(type, value)):
        return RecordBlock(partition[0], *columns)
    return RecordBlock(partition[0], *columns, {row: one.what for row, one in enumerate(value) if type(one) is NotRead})
