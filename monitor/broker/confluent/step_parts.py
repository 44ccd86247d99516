"""Takes records out of a stream up to a number of bytes, which the library itself does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import Message

from monitor.broker.limits import weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.broker.confluent.record_stream import RecordStream
    from monitor.broker.limits import StepLimit

Part = TypeVar("Part")

# Records between two looks at their bytes, the second as long as they are small: 0.7 MB of beats. The caller makes
# columns of each part while the processor's cache holds it; with a whole step (14 MB) a beat costs 0.6 us more.
FIRST_RECORDS, RECORDS_AT_ONCE = 16, 1024


def parts(
    stream: RecordStream, limit: StepLimit, came: list[Message], read: Callable[[list[Message]], tuple[Part, int]]
) -> Iterator[tuple[Part, int]]:
    """The messages of one poll, in parts: those that `came` before, then those that wait.

    `read` gives messages the form that the caller needs, and says what they count towards the bytes of the limit. It
    stops there; the last part may go beyond. It also stops where the stream sets records aside or fails.
    """
    left, room, at_once = limit.records - len(came), limit.bytes, FIRST_RECORDS
    if came:
        part, size = read(came)
        yield part, size
        room -= size
    while left > 0 and room > 0 and not (stream.has_set_aside or stream.has_failed):  # the rest is for later
        messages = stream.take(min(at_once, left), 0)
        size = 0
        if messages:
            part, size = read(messages)
            yield part, size
        left, room = left - len(messages), room - size
        if stream.is_drained:
            return
        at_once = max(FIRST_RECORDS, min(RECORDS_AT_ONCE, room * len(messages) // max(1, size)))


def fitting(messages: list[Message], room: int) -> int:
    """How many of these records fit into what is left of a step; the last one may pass it."""
    for count, message in enumerate(messages, 1):
        room -= weight([len(message)]) + _key_bytes([message])
        if room <= 0:
            return count
    return len(messages)


def bytes_of(messages: list[Message]) -> int:
    """Bytes of keys and values."""
    return sum(map(len, messages)) + _key_bytes(messages)


def _key_bytes(messages: list[Message]) -> int:
    return sum(map(len, filter(None, map(Message.key, messages))))
