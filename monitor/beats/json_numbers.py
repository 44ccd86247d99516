"""The numbers of a JSON list as doubles, without a Python object for each.

pysimdjson has wheels for CPython 3.11 to 3.13, wherever PyTorch has any. Elsewhere orjson reads the numbers: the same
doubles, in twice the time.
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

    Numbers = Callable[
        [bytes], NDArray[np.float64]
    ]  # of a text that begins with `[`; ValueError when it is no such list


def by_simdjson(text: bytes) -> NDArray[np.float64]:
    """A list inside the list is read as if its brackets were not there: that is for the caller to see."""
    try:
        # A parser cannot be used again while something that it gave is about; a new one costs 0.06 µs.
        found = cast("Array", Parser().parse(text))
        return np.frombuffer(found.as_buffer(of_type="d"))
    except (TypeError, RuntimeError) as error:  # what is no number, and an integer that 64 bits cannot hold
        raise ValueError(str(error)) from None


def by_orjson(text: bytes) -> NDArray[np.float64]:
    if b"t" in text or b"f" in text:
        raise ValueError("a boolean, which would pass for 1 or 0")
    found = orjson.loads(text)
    try:
        return np.frombuffer(struct.pack(f"{len(found)}d", *found))
    except struct.error as error:
        raise ValueError(str(error)) from None


read_numbers = by_simdjson if HAS_SIMDJSON else by_orjson
