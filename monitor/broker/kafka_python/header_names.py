r"""Reads records whose header names are not UTF-8. For correctness.

Kafka accepts any bytes as a header's name. One such record makes `poll` of kafka-python 3.0.12 raise, and the next call
never returns, so the records after it in its partition cannot be read. Only the name cannot be decoded. So a record
that fails is decoded again, with the bytes that are not UTF-8 written as `\xff`.
"""

from __future__ import annotations

from typing import Any

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch

from monitor.broker.kafka_python import known_versions


class _LenientBytes(bytes):
    """Bytes whose slices decode without failing."""

    def __getitem__(self, item: Any) -> Any:
        piece = super().__getitem__(item)
        return _LenientBytes(piece) if isinstance(item, slice) else piece

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _LenientBatch(DefaultRecordBatch):  # type: ignore[misc]
    _buffer: Any
    _pos: int

    def _read_msg(self, *arguments: Any) -> Any:
        start = self._pos
        try:
            return super()._read_msg(*arguments)
        except UnicodeDecodeError:
            self._buffer, self._pos = _LenientBytes(self._buffer), start
            return super()._read_msg(*arguments)


def accept_any_header_name() -> None:
    """Patch every consumer of this process."""
    known_versions.require_known()
    memory_records.DefaultRecordBatch = _LenientBatch
