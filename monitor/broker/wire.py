"""Kafka's record format v2, whole fetches at a time: where records begin, and their fields as columns.

The format: the comments of Apache Kafka's DefaultRecordBatch and DefaultRecord, and KIP-98.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from monitor.broker.block import Block, RawHeaders
from monitor.column import Column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_MORE = 0x80  # the highest bit of a byte of a varint: another byte follows
_LAST_SHIFT = 56  # of nine bytes; a tenth would not fit 64 bits
_FEW = 64  # records: found one by one sooner than as a run
_SHORT_RUN = 16
_MANY_HEADERS = 100
_STAMPED = 0x08  # attribute: the timestamp is the broker's


class UnusualError(Exception):
    """Not for this path."""


class Header(NamedTuple):
    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int


class Batch(NamedTuple):
    header: Header
    raw: Any  # the buffer in which its records lie, from `start` to `end`
    start: int
    end: int
    is_kept: bool  # whether a reader may see its records


class Fetch(NamedTuple):
    block: Block
    epoch: NDArray[np.int32]  # of the leader, for each record
    next_offset: int
    last_epoch: int


def decode(batches: Iterator[Batch], partition: int, fetch_offset: int) -> Fetch:
    """All records from the offset that was asked for; the client sends whole batches, which may begin before it."""
    kept, next_offset, last_epoch = [], fetch_offset, -1
    for batch in batches:
        next_offset, last_epoch = (
            batch.header.base_offset + batch.header.last_offset_delta + 1,
            batch.header.leader_epoch,
        )
        if batch.is_kept:
            kept.append(batch)
    buffers = {id(batch.raw): np.frombuffer(batch.raw, np.uint8) for batch in kept}
    bases = dict(zip(buffers, np.cumsum([0, *map(len, buffers.values())]).tolist(), strict=False))
    begin, end = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in kept:
        starts = _starts(buffers[id(batch.raw)], batch) + bases[id(batch.raw)]
        begin.append(starts)
        end += [starts[1:], np.array([batch.end + bases[id(batch.raw)]])] if len(starts) else []
    data = next(iter(buffers.values())) if len(buffers) == 1 else np.concatenate([begin[0], *buffers.values()])
    headers = np.array([batch.header for batch in kept], np.int64).reshape(-1, len(Header._fields))
    of = np.repeat(headers, headers[:, -1], axis=0)
    block = _block(partition, data.view(np.uint8), (np.concatenate(begin), np.concatenate(end)), Header(*of.T))
    wanted = np.flatnonzero(block.offset >= fetch_offset)
    first = int(wanted[0]) if len(wanted) else len(block)
    return Fetch(block.part(first, len(block)), of[first:, 2].astype(np.int32), next_offset, last_epoch)


def _starts(data: NDArray[np.uint8], batch: Batch) -> NDArray[np.int64]:
    """Where each record of a batch begins. Their lengths must lead from its first byte to its last, exactly.

    Records of one length stand at equal distances: found as a run, at once. Where lengths vary, one follows the other.
    """
    at, left, pieces, runs = batch.start, batch.header.records, [np.empty(0, np.int64)], 0
    while left >= _FEW and batch.header.records - left >= _SHORT_RUN * runs:
        length, body = _length(batch.raw, at)
        most = min(left, (batch.end - at) // (body + length - at))
        if not most:
            raise UnusualError
        lengths = as_strided(data[at:], (most, body - at), (body + length - at, 1))
        same = (lengths == lengths[0]).all(axis=1)
        run = most if same.all() else int(np.argmin(same))
        pieces.append(at + (body + length - at) * np.arange(run))
        at, left, runs = at + (body + length - at) * run, left - run, runs + 1
    starts = []
    for _ in range(left):
        starts.append(at)
        length, body = _length(batch.raw, at)
        at = body + length
    if at != batch.end:
        raise UnusualError
    return np.concatenate([*pieces, np.array(starts, np.int64)])


def _length(raw: Any, at: int) -> tuple[int, int]:
    """A record's length, and where the record begins that is so long."""
    length, second = raw[at], raw[at + 1]
    if length < _MORE:
        return length >> 1, at + 1
    if second < _MORE:
        return (length & 0x7F | second << 7) >> 1, at + 2
    third = raw[at + 2]
    if third < _MORE:
        return (length & 0x7F | (second & 0x7F) << 7 | third << 14) >> 1, at + 3
    raise UnusualError


def _block(
    partition: int, data: NDArray[np.uint8], place: tuple[NDArray[np.int64], NDArray[np.int64]], of: Header
) -> Block:
    """The fields of all records, each from its beginning to its end; `of`: columns of each record's batch."""
    length, at = _varints(data, place[0])
    if (at + length != place[1]).any():
        raise UnusualError
    _, at = _varints(data, at)  # attributes: none are defined
    later, at = _varints(data, at)
    further, at = _varints(data, at)
    key, at = _bytes(data, at)
    value, at = _bytes(data, at)
    _check_headers(data, at, place[1])
    is_stamped = (of.attributes & _STAMPED) != 0  # by the broker, as it came in
    time = np.where(is_stamped, of.max_timestamp, of.first_timestamp + later)
    headers = RawHeaders(Column.within(data, at, place[1] - at))
    return Block(partition, of.base_offset + further, time, key, value, headers)


def _varints(data: NDArray[np.uint8], at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The signed number at each of these places, and where each ends. Raises IndexError beyond the data."""
    byte = data[at]
    number, after = (byte & 0x7F).astype(np.int64), at + 1
    rows, shift = np.flatnonzero(byte >= _MORE), 7
    while len(rows):
        if shift > _LAST_SHIFT:
            raise UnusualError
        byte = data[after[rows]]
        number[rows] |= (byte & 0x7F).astype(np.int64) << shift
        after[rows] += 1
        rows, shift = rows[byte >= _MORE], shift + 7
    return number >> 1 ^ -(number & 1), after


def _bytes(data: NDArray[np.uint8], at: NDArray[np.int64]) -> tuple[Column, NDArray[np.int64]]:
    size, at = _varints(data, at)
    return Column.within(data, at, np.maximum(size, -1)), at + np.maximum(size, 0)


def _check_headers(data: NDArray[np.uint8], at: NDArray[np.int64], end: NDArray[np.int64]) -> None:
    """That what follows the value is well-formed and ends where the record does; a pass for each header there is."""
    left, at = _varints(data, at)
    if ((left < 0) | (left > _MANY_HEADERS)).any():
        raise UnusualError
    rows = np.flatnonzero(left)
    while len(rows):
        size, after = _varints(data, at[rows])
        if (size < 0).any():
            raise UnusualError
        size, after = _varints(data, after + size)
        at[rows] = after + np.maximum(size, 0)
        left[rows] -= 1
        rows = rows[left[rows] > 0]
    if (at != end).any():
        raise UnusualError
