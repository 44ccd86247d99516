"""JSON objects from outside, read strictly: no field twice, UTF-8, numbers that a double can hold.

Two readers that accept such an object agree on what it says (RFC 8259 leaves these cases open).
"""

from __future__ import annotations

import json
import math
from typing import Any


class UnclearError(Exception):
    """Why a value is refused: `reason` is a fixed word, `detail` a sentence. The caller adds what it was reading."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read(value: bytes) -> dict[str, Any]:
    """The fields of one JSON object. Every number is a float, so that a boolean cannot pass for one.

    Raises UnclearError for anything else than an object, and for a field that occurs twice, at any depth.
    """
    try:
        found = json.loads(
            value.decode(), parse_int=_number, parse_float=_number, object_pairs_hook=_without_duplicates
        )
    except UnicodeDecodeError as error:
        raise UnclearError("not-json", f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise UnclearError("not-json", "nested too deeply") from None
    except ValueError as error:
        raise UnclearError("not-json", f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UnclearError("not-json", f"the value is {kind(found)}, where an object is expected")
    return found


def kind(value: object) -> str:
    """The JSON type of a value, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _number(text: str) -> float:
    """A JSON number. Raises UnclearError for one that is too large for a double, which Python makes infinite."""
    number = float(text)
    if math.isinf(number):
        raise UnclearError("out-of-range", f"{text[:20]} is beyond what a double can hold")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        raise UnclearError("duplicate-keys", f"the field {twice[:40]!r} occurs more than once")
    return fields
