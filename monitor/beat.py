"""Beats as columns: parse the records of one poll, and set aside with a reason what is no beat.

A beat is 560 bytes (140 little-endian float32) or a JSON object with `samples`; the bytes alone tell which. The common
case, float32, is decoded for the whole batch at once; JSON costs one parser call a beat.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from itertools import repeat
from operator import is_
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import orjson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.record import Records

REASONS = (
    "empty",
    "too-large",
    "not-json",
    "duplicate-keys",
    "no-samples",
    "wrong-length",
    "not-numbers",
    "not-finite",
    "out-of-range",
    "no-key",
    "bad-key",
)
SAMPLES = 140
FLOAT32_BYTES = 4 * SAMPLES
MAX_VALUE_BYTES = 64 * 1024
_MAX_FLOAT32 = 3.4e38
MAX_AMPLITUDE = 1e9  # whatever the unit: beyond it float32 squares overflow, and no amplifier gives it

_PACK = struct.Struct(f"<{SAMPLES}f").pack
_TEXT = re.compile(rb"[\t-\r -~]+")
_TEXT_BYTE = np.zeros(256, np.bool_)
_TEXT_BYTE[[*range(9, 14), *range(32, 127)]] = True
_OPENS_JSON = np.zeros(256, np.bool_)
_OPENS_JSON[list(b"{ \t\n\r\x0b\x0c")] = True
_CLOSES_JSON = np.zeros(256, np.bool_)
_CLOSES_JSON[list(b"} \t\n\r\x0b\x0c")] = True


@dataclass(frozen=True, slots=True)
class Beats:
    """n beats as columns; `row` is where each stood among the records."""

    samples: NDArray[np.float32]  # (n, 140), any amplitude unit
    source: NDArray[np.object_]  # (n,), the record key as bytes, valid UTF-8
    time: NDArray[np.int64]  # (n,), ms since the epoch
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is no beat: its row among the records, a fixed word and a sentence."""

    row: int
    reason: str
    detail: str


class _NotABeatError(Exception):
    """Why one record is refused; never leaves this room."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def parse(records: Records) -> tuple[Beats, list[Rejected]]:
    """The beats among the records, in their order, and the rest with a reason each."""
    n = len(records)
    samples = np.zeros((n, SAMPLES), np.float32)
    rejected: dict[int, Rejected] = {}
    keys, values = _column(records.key), _column(records.value)
    _reject_keys(keys, rejected)
    binary = _binary(values)
    if binary.any():
        joined = b"".join(values[binary].tolist())
        samples[binary] = np.frombuffer(joined, "<f4").reshape(-1, SAMPLES)
    for row in np.flatnonzero(~binary).tolist():
        _parse_one(values[row], row, samples, rejected)
    _reject_amplitudes(samples, rejected)
    kept = np.ones(n, np.bool_)
    kept[list(rejected)] = False
    beats = Beats(samples[kept], keys[kept], records.time[kept], records.partition[kept], records.offset[kept])
    return beats, [rejected[row] for row in sorted(rejected)]


def _column(values: tuple[bytes | None, ...]) -> NDArray[np.object_]:
    column = np.empty(len(values), np.object_)
    column[:] = values
    return column


def _sizes(column: NDArray[np.object_]) -> NDArray[np.int64]:
    """Length of each value; -1 for null."""
    absent = np.fromiter(map(is_, column, repeat(None)), np.bool_, len(column))
    filled = column.copy()
    filled[absent] = b""
    sizes = np.fromiter(map(len, filled), np.int64, len(filled))
    sizes[absent] = -1
    return sizes


def _reject_keys(keys: NDArray[np.object_], rejected: dict[int, Rejected]) -> None:
    sizes = _sizes(keys)
    present = sizes > 0
    for row in np.flatnonzero(~present).tolist():
        what = "the record has no key" if sizes[row] < 0 else "the record's key is empty"
        rejected[row] = Rejected(row, "no-key" if sizes[row] < 0 else "bad-key", f"{what}: the key names the source")
    try:
        # A newline can end no multi-byte character: the join is UTF-8 exactly when every key is.
        b"\n".join(keys[present].tolist()).decode()
    except UnicodeDecodeError:
        for row in np.flatnonzero(present).tolist():
            _reject_key(keys[row], row, rejected)


def _reject_key(key: bytes, row: int, rejected: dict[int, Rejected]) -> None:
    try:
        key.decode()
    except UnicodeDecodeError as error:
        rejected[row] = Rejected(
            row, "bad-key", f"the key is not UTF-8 at byte {error.start}: the key names the source"
        )


def _binary(values: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which values are 140 float32: 560 bytes that are neither text nor a JSON object."""
    binary: NDArray[np.bool_] = _sizes(values) == FLOAT32_BYTES
    rows = np.flatnonzero(binary)
    raw = np.frombuffer(b"".join(values[rows].tolist()), np.uint8).reshape(-1, FLOAT32_BYTES)
    may_be_json = _OPENS_JSON[raw[:, 0]] & _CLOSES_JSON[raw[:, -1]]
    may_be_text = _TEXT_BYTE[raw[:, :16]].all(axis=1)
    for row in rows[may_be_json | may_be_text].tolist():
        value = values[row]
        binary[row] = not (_is_json(value) or _TEXT.fullmatch(value))
    return binary


def _is_json(value: bytes) -> bool:
    stripped = value.strip()
    return stripped.startswith(b"{") and stripped.endswith(b"}")


def _parse_one(value: bytes | None, row: int, samples: NDArray[np.float32], rejected: dict[int, Rejected]) -> None:
    if row in rejected:
        return
    try:
        samples[row] = np.frombuffer(_json_samples(_json_text(value)), "<f4")
    except _NotABeatError as error:
        rejected[row] = Rejected(row, error.reason, error.detail)


def _json_text(value: bytes | None) -> bytes:
    """The value when it can only be a JSON object; raises what it is otherwise."""
    if not value:
        raise _NotABeatError("empty", "the record has no value" if value is None else "the record's value is empty")
    if len(value) > MAX_VALUE_BYTES:
        raise _NotABeatError("too-large", f"{len(value)} bytes, where a beat has at most {MAX_VALUE_BYTES}")
    if _is_json(value):
        return value
    if _TEXT.fullmatch(value):
        raise _NotABeatError("not-json", f"{len(value)} bytes of text that are no JSON object")
    raise _NotABeatError("wrong-length", f"{len(value)} bytes, where {SAMPLES} float32 samples are {FLOAT32_BYTES}")


def _json_samples(value: bytes) -> bytes:
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
        raise _NotABeatError("no-samples", "the JSON object has no field `samples`")
    samples = document["samples"]
    if not isinstance(samples, list):
        raise _NotABeatError("not-numbers", f"`samples` is {_json_type(samples)}, where a list is expected")
    if len(samples) != SAMPLES:
        raise _NotABeatError("wrong-length", f"`samples` has {len(samples)} entries, where a beat has {SAMPLES}")
    for place, sample in enumerate(samples):
        if not isinstance(sample, float):
            raise _NotABeatError("not-numbers", f"sample {place} is {_json_type(sample)}, where a number is expected")
        if not math.isfinite(sample):
            raise _NotABeatError("not-finite", f"sample {place} is {sample}")
        if abs(sample) > _MAX_FLOAT32:
            raise _NotABeatError("out-of-range", f"sample {place} is {sample:g}, beyond ±{MAX_AMPLITUDE:g}")
    return _PACK(*samples)


def _strict_document(value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            value.decode(), parse_int=_number, parse_float=_number, object_pairs_hook=_without_duplicates
        )
    except UnicodeDecodeError as error:
        raise _NotABeatError("not-json", f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _NotABeatError("not-json", "nested too deeply") from None
    except ValueError as error:
        raise _NotABeatError("not-json", f"not JSON: {error}") from None
    return document if isinstance(document, dict) else _refuse_document(document)


def _refuse_document(document: object) -> NoReturn:
    raise _NotABeatError("not-json", f"the value is {_json_type(document)}, where an object is expected")


def _number(text: str) -> float:
    """A JSON number; one too large for a double is out of range rather than infinite."""
    number = float(text)
    if math.isinf(number):
        raise _NotABeatError("out-of-range", f"{text[:20]} is beyond ±{MAX_AMPLITUDE:g}")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotABeatError("duplicate-keys", f"the field {twice[:40]!r} stands more than once")
    return document


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", float: "a number", type(None): "null"}
    return names[type(value)]


def _reject_amplitudes(samples: NDArray[np.float32], rejected: dict[int, Rejected]) -> None:
    """Refuse rows that hold a sample that is not finite or too large; two passes over the batch, none over beats."""
    highest, lowest = samples.max(axis=1, initial=0), samples.min(axis=1, initial=0)
    for row in np.flatnonzero(~((highest <= MAX_AMPLITUDE) & (lowest >= -MAX_AMPLITUDE))).tolist():
        beat = samples[row]
        bad = ~(np.abs(beat) <= MAX_AMPLITUDE)
        place = int(np.argmax(bad))
        reason = "out-of-range" if np.isfinite(beat[place]) else "not-finite"
        rejected.setdefault(row, Rejected(row, reason, f"sample {place} is {beat[place]:g}"))
