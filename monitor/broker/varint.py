"""The variable-length integers of Kafka's record format v2: signed, zigzag encoded, seven bits a byte.

https://kafka.apache.org/documentation/#record, https://protobuf.dev/programming-guides/encoding/#signed-ints
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MORE = 0x80  # the highest bit of a byte: another byte follows
LAST_SHIFT = 56  # of nine bytes; more do not fit into 64 bits with the sign


@lru_cache(maxsize=4096)
def encode(number: int) -> bytes:
    """The bytes of a signed number of at most 64 bits; OverflowError for a larger one."""
    if not -(2**63) <= number < 2**63:
        raise OverflowError(f"{number} does not fit into 64 bits")
    rest = number << 1 ^ number >> 63
    written = bytearray()
    while rest >= MORE:
        written.append(MORE | rest & 0x7F)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def decode(raw: Any, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, and the index of the byte after it.

    Raises IndexError where the bytes end before the number does, ValueError where it has more than nine bytes.
    """
    number = shift = 0
    while True:
        byte = raw[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < MORE:
            return number >> 1 ^ -(number & 1), at
        if shift >= LAST_SHIFT:
            raise ValueError("a variable-length integer of more than nine bytes")
        shift += 7


def decode_many(data: NDArray[np.uint8], at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number that begins at each of n bytes, and the index of the byte after each: both (n,).

    Raises IndexError and ValueError as `decode` does.
    """
    byte = data[at]
    number, after = (byte & 0x7F).astype(np.int64), at + 1
    rows, shift = np.flatnonzero(byte >= MORE), 7
    while len(rows):
        if shift > LAST_SHIFT:
            raise ValueError("a variable-length integer of more than nine bytes")
        byte = data[after[rows]]
        number[rows] |= (byte & 0x7F).astype(np.int64) << shift
        after[rows] += 1
        rows, shift = rows[byte >= MORE], shift + 7
    return number >> 1 ^ -(number & 1), after
