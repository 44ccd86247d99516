r"""Reads records whose header names are not UTF-8, which kafka-python 3.0.12 cannot.

Kafka takes any bytes as a header's name. One such record makes the client's `poll` raise, and from the next call on
spin without end: its partition would be lost with it. All but that name can be read, so a
record that fails on one is read again, with undecodable bytes written out as `\xff`.
"""

from __future__ import annotations

from typing import Any

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


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


def be_lenient() -> bool:
    """From now on, for every consumer of this process; whether that is new.

    It costs a call a record: the daemon waits until it is needed.
    """
    is_new = memory_records.DefaultRecordBatch is not _LenientBatch
    memory_records.DefaultRecordBatch = _LenientBatch
    return is_new
