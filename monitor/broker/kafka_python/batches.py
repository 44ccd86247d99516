r"""Reads batches of records that kafka-python 3.0.12 cannot read, or only at the cost of all memory. For correctness.

Kafka accepts any bytes as a header's name. One such record makes `poll` of the client raise, and the next call never
returns, so the records after it in its partition cannot be read. Only the name cannot be decoded. So a record that
fails is decoded again, with the bytes that are not UTF-8 written as `\xff`.

A batch that inflates to more than MAX_INFLATED_BYTES, and a record with a very large value or very many headers, is
not read. One record stands for it: its value is a `NotRead`.
"""

from __future__ import annotations

from typing import Any

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.inflation import NOT_INFLATED, inflated
from monitor.broker.kafka_python.not_read import NotRead
from monitor.broker.limits import MAX_INFLATED_BYTES, MAX_READ_BYTES
from monitor.records.record import SetAside

MAX_HEADERS = 1000  # of one record in a large batch: a header takes 2 bytes there and 200 in memory


class _LenientBytes(bytearray):
    """Bytes whose slices decode without failing."""

    def __getitem__(self, item: Any) -> Any:
        piece = super().__getitem__(item)
        return _LenientBytes(piece) if isinstance(item, slice) else piece

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _BoundedBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch in which one record stands for what is too large to be read: for the whole batch, or for a record."""

    _buffer: Any
    _pos: int
    _decompressed: bool
    _set_aside: SetAside | None = None
    _is_large = False

    def _maybe_uncompress(self) -> None:
        if self.compression_type and not self._decompressed:
            self._assert_has_codec(self.compression_type)
            try:
                data = memoryview(self._buffer)[self._pos :]
                self._buffer = inflated(self.compression_type, data, MAX_INFLATED_BYTES)
            except NOT_INFLATED:
                why = f"more than {MAX_INFLATED_BYTES} bytes after inflation, or cannot be inflated"
                self._set_aside, self._num_records = SetAside(self.base_offset, self.last_offset, why), 1
                self._buffer = b""
            self._pos, self._decompressed = 0, True
        self._is_large = len(self._buffer) > MAX_READ_BYTES
        super()._maybe_uncompress()

    def _read_msg(self, *arguments: Any) -> Any:
        start = self._pos
        if self._set_aside is not None:
            return self._not_read(self._set_aside, self.max_timestamp)
        if self._is_large and (found := self._left_out(start)) is not None:
            return found
        try:
            return super()._read_msg(*arguments)
        except UnicodeDecodeError:
            self._buffer, self._pos = _LenientBytes(self._buffer), start
            return super()._read_msg(*arguments)

    def _left_out(self, start: int) -> Any:
        """What stands for the record at `start` where that is too large to be read; else None."""
        length, start = decode_varint(self._buffer, start)
        _, at = decode_varint(self._buffer, start)
        elapsed, at = decode_varint(self._buffer, at)
        delta, at = decode_varint(self._buffer, at)
        for _ in range(2):  # key and value
            size, at = decode_varint(self._buffer, at)
            at += max(size, 0)
        if at >= len(self._buffer) or not 0 < length <= len(self._buffer) - start:
            return None  # damaged: the client says how
        headers, _ = decode_varint(self._buffer, at)
        if length <= MAX_READ_BYTES and headers <= MAX_HEADERS:
            return None
        self._pos = start + length
        offset = self.base_offset + delta
        why = f"{length} bytes" if length > MAX_READ_BYTES else f"{headers} headers"
        return self._not_read(SetAside(offset, offset, why), self.first_timestamp + elapsed)

    def _not_read(self, what: SetAside, time_ms: int) -> Any:
        return DefaultRecord(0, what.last_offset, time_ms, self.timestamp_type, None, NotRead.of(what), [])


def read_any_batch() -> None:
    """Make every consumer of this process read batches in this way. Raises what `require_known` raises."""
    known_versions.require_known()
    memory_records.DefaultRecordBatch = _BoundedBatch
