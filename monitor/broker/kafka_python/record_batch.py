"""Decodes Kafka's record format v2, a whole fetch at a time: where records begin, and their fields as columns.

The format: the comments of Apache Kafka's DefaultRecordBatch and DefaultRecord, and KIP-98. For speed alone.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from monitor.broker.blocks import RawHeaders, RecordBlock
from monitor.broker.varint import MORE, decode_many
from monitor.broker.varint import decode as decode_varint
from monitor.records.column import Column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FEW = 64  # records: it is quicker to find them one by one
_SHORT_RUN = 16
_SIDE_BY_SIDE = 32  # batches
_MANY_HEADERS = 100
_STAMPED = 0x08  # attribute: the timestamp is the broker's


class UnusualError(Exception):
    """These bytes are not decoded here; the client's own code decodes them."""


class BatchHeader(NamedTuple):
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


class WireBatch(NamedTuple):
    header: BatchHeader
    raw: Any  # the buffer in which its records lie, from `start` to `end`
    start: int
    end: int
    is_kept: bool  # whether a reader may see its records


class Fetch(NamedTuple):
    block: RecordBlock
    epoch: NDArray[np.int32]  # of the leader, for each record
    next_offset: int
    last_epoch: int


def decode(batches: Iterator[WireBatch], partition: int, fetch_offset: int) -> Fetch:
    """All records from `fetch_offset` on; the broker sends whole batches, which may begin before it.

    Raises UnusualError, ValueError or IndexError where the bytes are not what the format says.
    """
    kept, next_offset, last_epoch = [], fetch_offset, -1
    for batch in batches:
        header = batch.header
        next_offset, last_epoch = header.base_offset + header.last_offset_delta + 1, header.leader_epoch
        size = batch.end - batch.start
        if not 0 <= header.records <= size or (not header.records and size):
            raise UnusualError
        if batch.is_kept and header.records:
            kept.append(batch)
    buffers = {id(batch.raw): np.frombuffer(batch.raw, np.uint8) for batch in kept}
    bases = dict(zip(buffers, np.cumsum([0, *map(len, buffers.values())]).tolist(), strict=False))
    data = np.concatenate([*buffers.values(), np.empty(0, np.uint8)]) if len(buffers) != 1 else buffers[id(kept[0].raw)]
    headers: Any = BatchHeader(
        *np.array([batch.header for batch in kept], np.int64).reshape(-1, len(BatchHeader._fields)).T
    )
    base = np.array([bases[id(batch.raw)] for batch in kept], np.int64)
    starts = base + np.array([batch.start for batch in kept], np.int64)
    ends = base + np.array([batch.end for batch in kept], np.int64)
    begin = _starts_side_by_side(starts, ends, headers.records, data)
    if begin is None:
        begin = _starts([(batch, buffers[id(batch.raw)], bases[id(batch.raw)]) for batch in kept])
    end = np.append(begin[1:], 0)[: len(begin)]
    end[np.cumsum(headers.records) - 1] = ends
    block = _block(partition, data, (begin, end), headers)
    wanted = np.flatnonzero(block.offset >= fetch_offset)
    first = int(wanted[0]) if len(wanted) else len(block)
    epoch = np.repeat(headers.leader_epoch.astype(np.int32), headers.records)
    return Fetch(block.part(first, len(block)), epoch[first:], next_offset, last_epoch)


@cache
def _steps() -> NDArray[np.int32]:
    """(65536,) Bytes from a record to the next one, by the first two bytes of its length; 0 for longer lengths."""
    first, second = np.arange(1 << 16) & 0xFF, np.arange(1 << 16) >> 8
    two = (first & 0x7F | (second & 0x7F) << 7) // 2 + 2
    return np.where(first < MORE, first // 2 + 1, np.where(second < MORE, two, 0)).astype(np.int32)


def _starts_side_by_side(
    start: NDArray[np.int64], end: NDArray[np.int64], records: NDArray[np.int64], data: NDArray[np.uint8]
) -> NDArray[np.int64] | None:
    """Where each record begins: in every batch the first, then in every batch the second, and so on.

    None where there are too few batches or their sizes differ too much, and where a length has more than two bytes or
    does not lead to the end of its batch.
    """
    most = int(records.max(initial=0))
    if len(records) < _SIDE_BY_SIDE or 2 * records.sum() < most * len(records):
        return None
    steps, last = _steps(), len(data) - 2
    pairs = np.ndarray((last + 1,), "<u2", data, 0, (1,))  # at every byte
    found = np.empty((most + 1, len(records)), np.int64)
    found[0] = start
    for row in range(most):
        at = found[row]
        np.minimum(at + steps[pairs[at]], last, out=found[row + 1])  # a batch that has ended runs on, to no effect
    if (found[records, np.arange(len(records))] != np.minimum(end, last)).any():
        return None
    return found.T[:, :most][np.arange(most) < records[:, None]]


def _starts(batches: list[tuple[WireBatch, NDArray[np.uint8], int]]) -> NDArray[np.int64]:
    """Where each record begins. `batches`: each batch, its buffer, and where that buffer begins among all of them.

    Records of one length lie at equal distances and are found as a run, at once. Where lengths vary, they are found one
    by one. The lengths must lead from a batch's first byte to its last, exactly.
    """
    found: list[NDArray[np.int64]] = []
    singles: list[int] = []
    for batch, data, base in batches:
        at, left, runs = batch.start, batch.header.records, 0
        while left >= _FEW and batch.header.records - left >= _SHORT_RUN * runs:
            run, distance = _run(batch, data, at, left)
            found += [np.array(singles, np.int64), base + at + distance * np.arange(run)]
            singles, at, left, runs = [], at + distance * run, left - run, runs + 1
        for _ in range(left):
            singles.append(base + at)
            length, body = _length(batch.raw, at)
            at = body + length
        if at != batch.end:
            raise UnusualError
    return np.concatenate([*found, np.array(singles, np.int64)])


def _run(batch: WireBatch, data: NDArray[np.uint8], at: int, left: int) -> tuple[int, int]:
    """How many records from byte `at` on have the length of the first, and how many bytes they are apart."""
    length, body = _length(batch.raw, at)
    distance = body + length - at
    most = min(left, (batch.end - at) // distance)
    if not most:
        raise UnusualError
    lengths = as_strided(data[at:], (most, body - at), (distance, 1))
    same = (lengths == lengths[0]).all(axis=1)
    return (most if same.all() else int(np.argmin(same))), distance


def _length(raw: Any, at: int) -> tuple[int, int]:
    """The length of the record at byte `at`, and the index of the byte after this length."""
    length, body = decode_varint(raw, at)
    if length < 0:
        raise UnusualError
    return length, body


def _block(
    partition: int, data: NDArray[np.uint8], place: tuple[NDArray[np.int64], NDArray[np.int64]], of: Any
) -> RecordBlock:
    """The fields of all records. `place`: where each begins and ends; `of`: the batches' headers as columns."""
    length, at = decode_many(data, place[0])
    if (at + length != place[1]).any():
        raise UnusualError
    _, at = decode_many(data, at)  # attributes: none are defined
    later, at = decode_many(data, at)
    further, at = decode_many(data, at)
    key, at = _bytes(data, at)
    value, at = _bytes(data, at)
    _check_headers(data, at, place[1])
    is_stamped = (of.attributes & _STAMPED) != 0  # by the broker, as it came in
    time = np.repeat(np.where(is_stamped, of.max_timestamp, of.first_timestamp), of.records)
    time += later if not is_stamped.any() else np.where(np.repeat(is_stamped, of.records), 0, later)
    headers = RawHeaders(Column.within(data, at, place[1] - at))
    return RecordBlock(partition, np.repeat(of.base_offset, of.records) + further, time, key, value, headers)


def _bytes(data: NDArray[np.uint8], at: NDArray[np.int64]) -> tuple[Column, NDArray[np.int64]]:
    size, at = decode_many(data, at)
    return Column.within(data, at, np.maximum(size, -1)), at + np.maximum(size, 0)


def _check_headers(data: NDArray[np.uint8], at: NDArray[np.int64], end: NDArray[np.int64]) -> None:
    """Check that the headers are well-formed and end where their record does; one pass for each header of a record.

    Raises UnusualError where they do not.
    """
    left, at = decode_many(data, at)
    if ((left < 0) | (left > _MANY_HEADERS)).any():
        raise UnusualError
    rows = np.flatnonzero(left)
    while len(rows):
        size, after = decode_many(data, at[rows])
        if (size < 0).any():
            raise UnusualError
        size, after = decode_many(data, after + size)
        at[rows] = after + np.maximum(size, 0)
        left[rows] -= 1
        rows = rows[left[rows] > 0]
    if (at != end).any():
        raise UnusualError
