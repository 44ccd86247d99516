"""Inflates the records of a batch within a bound. For correctness.

kafka-python 3.0.12 inflates a batch without a bound: with zstd a record of 400 MB takes 12 KB on the wire, and two
gigabytes of memory here. For each block of snappy it also copies all blocks that follow.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import lz4.frame
import snappy
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4  # codecs of Kafka's record batches
PIECE_BYTES = 1024 * 1024
_GZIP_FORMAT = 31  # for zlib: 2**15 bytes of history, with the header of gzip
_XERIAL, _XERIAL_BYTES = b"\x82SNAPPY\x00", 16  # the framing of Java's snappy
_VARINT_BYTES, _CONTINUED = 5, 0x80
_BLOCK = struct.Struct("!i")


class InflationError(Exception):
    """More bytes come out than the caller allows."""


NOT_INFLATED = (
    InflationError,
    zlib.error,  # of gzip
    EOFError,
    RuntimeError,  # of lz4
    struct.error,  # of the framing of snappy
    snappy.UncompressError,
    zstandard.ZstdError,
)


def inflated(codec: int, data: memoryview, limit: int) -> bytearray:
    """The records of a batch. Raises an error of NOT_INFLATED for more than `limit` bytes, before they take memory.

    It raises another of them for bytes that are damaged.
    """
    pieces: Callable[[memoryview], Iterator[bytes]] = {
        GZIP: _gzip,
        SNAPPY: lambda data: _snappy(data, limit),
        LZ4: _lz4,
        ZSTD: lambda data: _zstd(data, limit),
    }[codec]
    found = bytearray()
    for piece in pieces(data):
        if len(found) + len(piece) > limit:
            raise InflationError
        found += piece
    return found


def _gzip(data: memoryview) -> Iterator[bytes]:
    left = bytes(data)
    while left:
        stream = zlib.decompressobj(_GZIP_FORMAT)
        while not stream.eof:
            if not left:
                raise EOFError("the gzip stream ends before its end marker")
            yield stream.decompress(left, PIECE_BYTES)
            left = stream.unconsumed_tail
        left = stream.unused_data.lstrip(b"\x00")


def _lz4(data: memoryview) -> Iterator[bytes]:
    left = bytes(data)
    while left:
        stream = lz4.frame.LZ4FrameDecompressor()
        while not stream.eof:
            piece = stream.decompress(left, PIECE_BYTES)
            if not piece and not stream.eof and stream.needs_input:
                raise RuntimeError("the LZ4 frame ends before its end marker")
            yield piece
            left = b""
        left = stream.unused_data or b""


def _zstd(data: memoryview, limit: int) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=limit)
    with decompressor.stream_reader(BytesIO(data), read_across_frames=True) as reader:
        while piece := reader.read(PIECE_BYTES):
            yield piece


def _snappy(data: memoryview, limit: int) -> Iterator[bytes]:
    """The inflated blocks: those after the framing of Java's snappy, or the one block without it."""
    if bytes(data[: len(_XERIAL)]) != _XERIAL or len(data) <= _XERIAL_BYTES:
        yield _snappy_block(data, limit)
        return
    at = _XERIAL_BYTES
    while at < len(data):
        (size,) = _BLOCK.unpack_from(data, at)
        at += _BLOCK.size
        if not 0 < size <= len(data) - at:
            raise EOFError("a block of snappy is longer than its batch")
        yield _snappy_block(data[at : at + size], limit)
        at += size


def _snappy_block(block: memoryview, limit: int) -> bytes:
    """What one block inflates to. Its first bytes say how many bytes that are, 7 bits in each, the lowest first."""
    size = 0
    for place, byte in enumerate(block[:_VARINT_BYTES]):
        size |= (byte % _CONTINUED) << 7 * place
        if byte < _CONTINUED:
            break
    if size > limit:
        raise InflationError
    return bytes(snappy.decompress(block.tobytes()))
