"""What publishers put around the JSON object of a beat.

A byte-order mark, and the frame of a schema registry (a 0 and the four bytes of a schema's id), are taken off. Other
wrappings are named, so that a dead letter says what to change.
"""

from __future__ import annotations

import re
from typing import TypeVar

MARK = b"\xef\xbb\xbf"
FRAME_BYTES = 5

_FRAMED = re.compile(rb"\x00....\s*\{", re.DOTALL)
_KNOWN = (
    (b"\xff\xfe", "UTF-16, where UTF-8 is expected"),
    (b"\xfe\xff", "UTF-16, where UTF-8 is expected"),
    (b"{\x00", "UTF-16, where UTF-8 is expected"),
    (b"\x1f\x8b", "gzip: let the producer compress its batches instead"),
    (b"\x28\xb5\x2f\xfd", "zstd: let the producer compress its batches instead"),
)
_FLOATS_IN_FRAME = 565  # bytes: the frame and 140 float32

Value = TypeVar("Value", bytes, bytes | None)


def unwrapped(value: Value) -> Value:
    """The value without a byte-order mark or the frame of a schema registry before a JSON object."""
    if value and value[0] in b"\xef\x00":
        if value.startswith(MARK):
            return value[len(MARK) :]
        if _FRAMED.match(value):
            return value[FRAME_BYTES:]
    return value


def wrapping(value: bytes) -> str:
    """How a value that is not JSON is wrapped, and what to do about it, in a sentence; empty if that is not known."""
    size = f"{len(value)} bytes that"
    for beginning, what in _KNOWN:
        if value.startswith(beginning):
            return f"{size} begin as {what}"
    if value.strip(b"\x00").strip().startswith(b"{") and value.endswith(b"\x00"):
        return f"{size} end in NUL: send the JSON object without padding"
    if len(value) == _FLOATS_IN_FRAME and value[0] == 0:
        return f"{size} begin with the frame of a schema registry: send the 560 bytes of float32 without it"
    return ""
