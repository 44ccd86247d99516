"""One beat written as JSON: 140 float32, or the reason why it is none."""

from __future__ import annotations

import json
import math
import struct
from typing import Any, NoReturn

import orjson

SAMPLES = 140
MAX_AMPLITUDE = 1e9  # whatever the unit: beyond it float32 squares overflow, and no amplifier gives it
_MAX_FLOAT32 = 3.4e38
_PACK = struct.Struct(f"<{SAMPLES}f").pack


class NotABeatError(Exception):
    """Why one record is refused; caught where the batch is parsed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def json_samples(value: bytes) -> bytes:
    """140 float32 from a JSON object, by the fast parser where its verdict cannot differ from the strict one's."""
    if b"\\" in value or b"true" in value or b"false" in value:
        return _strict_samples(value)
    try:
        document = orjson.loads(value)
        texts = sum(type(entry) is str for entry in document.values())
        if value.count(b'"') == 2 * (len(document) + texts):  # so no field stands twice, at any depth
            return _PACK(*document["samples"])
    except (orjson.JSONDecodeError, KeyError, TypeError, struct.error, OverflowError):
        pass  # the strict parser finds the reason
    return _strict_samples(value)


def _strict_samples(value: bytes) -> bytes:
    document = _strict_document(value)
    if "samples" not in document:
        raise NotABeatError("no-samples", "the JSON object has no field `samples`")
    samples = document["samples"]
    if not isinstance(samples, list):
        raise NotABeatError("not-numbers", f"`samples` is {_json_type(samples)}, where a list is expected")
    if len(samples) != SAMPLES:
        raise NotABeatError("wrong-length", f"`samples` has {len(samples)} entries, where a beat has {SAMPLES}")
    for place, sample in enumerate(samples):
        if not isinstance(sample, float):
            raise NotABeatError("not-numbers", f"sample {place} is {_json_type(sample)}, where a number is expected")
        if not math.isfinite(sample):
            raise NotABeatError("not-finite", f"sample {place} is {sample}")
        if abs(sample) > _MAX_FLOAT32:
            raise NotABeatError("out-of-range", f"sample {place} is {sample:g}, beyond ±{MAX_AMPLITUDE:g}")
    return _PACK(*samples)


def _strict_document(value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            value.decode(), parse_int=_number, parse_float=_number, object_pairs_hook=_without_duplicates
        )
    except UnicodeDecodeError as error:
        raise NotABeatError("not-json", f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise NotABeatError("not-json", "nested too deeply") from None
    except ValueError as error:
        raise NotABeatError("not-json", f"not JSON: {error}") from None
    return document if isinstance(document, dict) else _refuse_document(document)


def _refuse_document(document: object) -> NoReturn:
    raise NotABeatError("not-json", f"the value is {_json_type(document)}, where an object is expected")


def _number(text: str) -> float:
    """A JSON number; one too large for a double is out of range rather than infinite."""
    number = float(text)
    if math.isinf(number):
        raise NotABeatError("out-of-range", f"{text[:20]} is beyond ±{MAX_AMPLITUDE:g}")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotABeatError("duplicate-keys", f"the field {twice[:40]!r} stands more than once")
    return document


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", float: "a number", type(None): "null"}
    return names[type(value)]
