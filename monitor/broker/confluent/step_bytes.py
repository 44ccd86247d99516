"""Takes records out of a stream up to a number of bytes, which the library itself does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Message

if TYPE_CHECKING:
    from monitor.broker.confluent.record_stream import RecordStream
    from monitor.broker.limits import StepLimit

FIRST_RECORDS, RECORDS_AT_ONCE = 64, 1024  # between two looks at their bytes; the second as long as they are small


def taken(stream: RecordStream, limit: StepLimit) -> list[Message]:
    """The records that are there, up to the limit; the last of them may pass it."""
    found: list[Message] = []
    room, at_once = limit.bytes, FIRST_RECORDS
    while room > 0 and (wanted := min(at_once, limit.records - len(found))) > 0:
        some = stream.take(wanted, 0)
        found += some
        size = size_of(some)
        room -= size
        if stream.is_drained or stream.has_set_aside:  # what follows those comes with the next call
            break
        at_once = max(FIRST_RECORDS, min(RECORDS_AT_ONCE, room * len(some) // max(1, size)))
    return found


def size_of(messages: list[Message]) -> int:
    """Bytes of keys and values."""
    return sum(map(len, messages)) + sum(map(len, filter(None, map(Message.key, messages))))
