"""Takes records out of a stream up to a number of bytes, which the library itself does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Message

from monitor.broker.limits import weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.broker.confluent.record_stream import RecordStream
    from monitor.broker.limits import StepLimit

# Records between two looks at their bytes, the second as long as they are small: 0.7 MB of beats. The caller makes
# columns of each part while the processor's cache holds it; with a whole step (14 MB) a beat costs 0.6 us more.
FIRST_RECORDS, RECORDS_AT_ONCE = 16, 1024


def parts(
    stream: RecordStream, limit: StepLimit, came: list[Message], size_of: Callable[[list[Message]], int]
) -> Iterator[tuple[list[Message], int]]:
    """The messages of one poll, in parts, each with its bytes: those that `came` before, then those that wait.

    It stops at the limit, as `size_of` counts bytes; the last part may go beyond them. It also stops where the stream
    sets records aside or fails.
    """
    size = size_of(came)
    if came:
        yield came, size
    left, room, at_once = limit.records - len(came), limit.bytes - size, FIRST_RECORDS
    while left > 0 and room > 0 and not (stream.has_set_aside or stream.has_failed):  # the rest is for later
        messages = stream.take(min(at_once, left), 0)
        size = size_of(messages)
        left, room = left - len(messages), room - size
        if messages:
            yield messages, size
        if stream.is_drained:
            return
        at_once = max(FIRST_RECORDS, min(RECORDS_AT_ONCE, room * len(messages) // max(1, size)))


def fitting(messages: list[Message], room: int) -> int:
    """How many of these records fit into what is left of a step; the last one may pass it."""
    for count, message in enumerate(messages, 1):
        room -= weight_of([message])
        if room <= 0:
            return count
    return len(messages)


def bytes_of(messages: list[Message]) -> int:
    """Bytes of keys and values."""
    return sum(map(len, messages)) + _key_bytes(messages)


def weight_of(messages: list[Message]) -> int:
    """What these records count towards the bytes of a step."""
    return weight(list(map(len, messages))) + _key_bytes(messages)


def _key_bytes(messages: list[Message]) -> int:
    return sum(map(len, filter(None, map(Message.key, messages))))
