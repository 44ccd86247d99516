"""The numbers of a JSON list as doubles, without a Python object for each.

pysimdjson does that. It has wheels for CPython 3.11 to 3.13, on every platform for which PyTorch has any. Elsewhere
orjson reads the numbers: the same doubles, in twice the time.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

import numpy as np
import orjson

try:
    from simdjson import Parser
except ImportError:
    HAS_SIMDJSON = False
else:
    HAS_SIMDJSON = True

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from simdjson import Array

    # Takes a text that begins with `[` and gives its numbers (n,). Raises ValueError for what is not a list of numbers.
    Numbers = Callable[[bytes], NDArray[np.float64]]


def by_simdjson(text: bytes) -> NDArray[np.float64]:
    """The numbers of a JSON list. Brackets of a list inside the list are skipped silently: the caller must check."""
    try:
        # A parser cannot be used again while an array that it gave still exists; a new parser costs 0.06 µs.
        found = cast("Array", Parser().parse(text))
        return np.frombuffer(found.as_buffer(of_type="d"))
    except (TypeError, RuntimeError) as error:  # not a number, or an integer that 64 bits cannot hold
        raise ValueError(str(error)) from None


def by_orjson(text: bytes) -> NDArray[np.float64]:
    """The numbers of a JSON list, with a Python object for each."""
    if b"t" in text or b"f" in text:
        raise ValueError("a boolean, which would pass for 1 or 0")
    found = orjson.loads(text)
    try:
        return np.frombuffer(struct.pack(f"{len(found)}d", *found))
    except struct.error as error:
        raise ValueError(str(error)) from None


read_numbers = by_simdjson if HAS_SIMDJSON else by_orjson
