"""Messages of confluent-kafka as columns. Keys and values of many records are read by calls into C."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from confluent_kafka import Message

from monitor.broker.blocks import RecordBlock
from monitor.broker.limits import MAX_READ_BYTES, weight
from monitor.records.column import Column
from monitor.records.record import SetAside, partition_slices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.records.record import Headers


def read_headers(messages: Sequence[Message]) -> list[Headers]:
    """The headers of each of these messages, none of which were read before; none where the name of one is not UTF-8.

    confluent-kafka 2.16.1 cannot read such a name, and returns a result together with an exception. Only a call through
    C, such as that of `map`, notices this. A second call for the same message returns a list with a null pointer in it.
    """
    found: list[Any] = []
    reading = map(Message.headers, messages)
    while len(found) < len(messages):
        try:
            found.extend(reading)
        except (SystemError, UnicodeDecodeError):  # `found` has those before, and `reading` goes on behind this one
            found.append(None)
    return [tuple(headers) if headers else () for headers in found]


class MessageHeaders(Sequence["Headers"]):
    """Headers that are read when they are asked for: only few, or the noise before beats, are needed."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._known: dict[int, Headers] = {}  # each may be read once

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, row: int) -> Headers: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[Headers, ...]: ...
    def __getitem__(self, row: int | slice) -> Headers | tuple[Headers, ...]:
        rows = range(len(self._messages))[row]
        return self._at(rows) if isinstance(rows, int) else tuple(map(self._at, rows))

    def __iter__(self) -> Iterator[Headers]:
        """All of them, read by few calls into C: one by one takes three times as long."""
        if self._known:
            return map(self._at, range(len(self._messages)))
        found = read_headers(self._messages)
        self._known = dict(enumerate(found))
        return iter(found)

    def _at(self, row: int) -> Headers:
        if row not in self._known:
            (self._known[row],) = read_headers([self._messages[row]])
        return self._known[row]


def blocks_of(messages: list[Message]) -> tuple[list[RecordBlock], int]:
    """Columns of the records of each partition, in the order in which they came, and what all count towards a step."""
    partition = np.fromiter(map(Message.partition, messages), np.int32, len(messages))
    slices = partition_slices(partition)
    if len(slices) > len({number for number, _ in slices}):  # the library takes some of each partition in turn
        order = np.argsort(partition, kind="stable")
        messages = list(map(messages.__getitem__, order.tolist()))
        slices = partition_slices(partition[order])
    pairs = [_block(number, messages[rows]) for number, rows in slices]
    return [block for block, _ in pairs], sum(size for _, size in pairs)


def _block(partition: int, messages: list[Message]) -> tuple[RecordBlock, int]:
    """Columns of the records of one partition, and what they count towards the bytes of a step.

    The columns tell the sizes: `len` of a message takes as long as its value does.
    """
    offset = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
    time = np.fromiter(map(itemgetter(1), map(Message.timestamp, messages)), np.int64, len(messages))
    key, value = (Column.of(list(map(read, messages))) for read in (Message.key, Message.value))
    size, set_aside = weight(value.size.tolist()) + int(key.size.clip(0).sum()), {}
    if value.size.max() > MAX_READ_BYTES:
        set_aside = {row: _large(one) for row, one in enumerate(messages) if len(one) > MAX_READ_BYTES}
        nothing = Message(messages[0].topic(), partition)
        messages = [nothing if row in set_aside else one for row, one in enumerate(messages)]
        key, value = (Column.of(list(map(read, messages))) for read in (Message.key, Message.value))
    return RecordBlock(partition, offset, time, key, value, MessageHeaders(messages), set_aside), size


def drop_values(messages: list[Message]) -> None:
    """Free the values of messages that stay for their headers: the columns have a copy."""
    deque(map(Message.set_value, messages, repeat(None)), 0)


def _large(message: Message) -> SetAside:
    offset = message.offset() or 0
    return SetAside(offset, offset, f"{len(message)} bytes")
