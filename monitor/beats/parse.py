"""Records become beats, or are rejected with a reason.

A beat is 560 bytes (140 little-endian float32) or a JSON object with `samples`. Which of the two is decided by the
bytes of the value alone, not by a header.
The float32 values of a batch are decoded in one call, JSON values in one call for many beats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from monitor.beats.beat import (
    FLOAT32_BYTES,
    MAX_AMPLITUDE,
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    MIN_AMPLITUDE,
    SAMPLES,
    Beats,
)
from monitor.beats.json_beat import noise_field, read_alike, read_samples
from monitor.beats.noise_header import noise_of, plausible_noise
from monitor.beats.wrapping import unwrapped, wrapping
from monitor.records.strict_json import UnclearError
from monitor.terminal import count_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.records.column import Column
    from monitor.records.record import Records, SetAside

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
    "byte-order",
    "wrapped",
    "no-key",
    "bad-key",
)

_BYTE_ORDER = "big-endian numbers or integers, it seems, where little-endian float32 is expected"
_USUAL_AMPLITUDE = 1e6  # of a beat in mV, µV or ADC counts

_TEXT = bytes([*range(9, 14), *range(32, 127)])
_TEXT_BYTE = np.zeros(256, np.bool_)
_TEXT_BYTE[list(_TEXT)] = True
_OPENS_JSON = np.zeros(256, np.bool_)
_OPENS_JSON[list(b"{ \t\n\r\x0b\x0c\xef\x00")] = True  # the last two: what `wrapping` takes off
_CLOSES_JSON = np.zeros(256, np.bool_)
_CLOSES_JSON[list(b"} \t\n\r\x0b\x0c")] = True


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is not a beat."""

    row: int  # among the records of the batch
    reason: str  # one of REASONS
    detail: str  # a sentence


def parse(records: Records, *, noise: bool = False) -> tuple[Beats, list[Rejected]]:
    """The beats among the records, and the other records with the reason for each; both in the order of the records.

    `noise`: whether the noise before beats is asked for. Without, no header is decoded.
    """
    rejected = {row: _too_large(row, found) for row, found in records.set_aside.items()}
    keys = _keys(records.key, rejected)
    samples, rest = _binary(records.value)
    _read_json(records.value, rest, samples, rejected)
    _reject_amplitudes(samples, rejected)
    _reject_tiny(samples, rejected)
    json_rows = [row for row in rest if row not in rejected]
    known = _noise(records, json_rows) if noise else np.full(len(records), np.nan, np.float32)
    beats = Beats(samples, keys, records.time, records.partition, records.offset, known)
    if not rejected:
        return beats, []
    kept = np.ones(len(records), np.bool_)
    kept[list(rejected)] = False
    return beats.select(kept), [rejected[row] for row in sorted(rejected)]


def _noise(records: Records, json_rows: list[int]) -> NDArray[np.float32]:
    """The noise before the beats (n,): from the header, else from the field of a JSON object; NaN where neither is."""
    noise = noise_of(records.headers)
    rows = np.array(json_rows, np.intp)
    rows = rows[np.isnan(noise[rows])]
    fields = [noise_field(value or b"") for value in records.value.select(rows)]
    noise[rows] = plausible_noise(np.array(fields, np.float64))
    return noise


def _too_large(row: int, found: SetAside) -> Rejected:
    return Rejected(row, "too-large", f"{found}: a beat has at most {MAX_VALUE_BYTES} bytes")


def _keys(column: Column, rejected: dict[int, Rejected]) -> NDArray[np.object_]:
    """The keys (n,) that can name a source, as bytes; None for the others, whose rows are rejected."""
    sizes = column.size
    usable = (sizes > 0) & (sizes <= MAX_KEY_BYTES)
    for row in np.flatnonzero(~usable).tolist():
        reason, what = "bad-key", "the record's key is empty"
        if sizes[row] < 0:
            reason, what = "no-key", "the record has no key"
        elif sizes[row]:
            what = f"the key has {sizes[row]} bytes, where a source has at most {MAX_KEY_BYTES}"
        rejected.setdefault(row, Rejected(row, reason, f"{what}: the key names the source"))
    keys = column.objects(MAX_KEY_BYTES)
    _reject_not_utf8(keys, usable, rejected)
    return keys


def _reject_not_utf8(keys: NDArray[np.object_], present: NDArray[np.bool_], rejected: dict[int, Rejected]) -> None:
    try:
        # No multi-byte character of UTF-8 contains a newline: the join is UTF-8 exactly when every key is.
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


def _binary(values: Column) -> tuple[NDArray[np.float32], list[int]]:
    """Samples (n, 140) of the values that are float32, and the rows of all other values, whose samples are 0.

    A value is float32 when it has 560 bytes that are neither text nor a JSON object. Whole values are looked at one by
    one only where their first and last bytes leave that open.
    """
    rows = np.flatnonzero(values.size == FLOAT32_BYTES)
    raw = values.gather(rows, FLOAT32_BYTES)
    may_be_json = _OPENS_JSON[raw[:, 0]] & _CLOSES_JSON[raw[:, -1]]
    may_be_text = _TEXT_BYTE[raw[:, :4]].all(axis=1)
    suspects = np.flatnonzero(may_be_json | may_be_text)
    binary = np.ones(len(rows), np.bool_)
    for suspect in suspects[may_be_json[suspects] | _TEXT_BYTE[raw[suspects, :16]].all(axis=1)].tolist():
        value = raw[suspect].tobytes()
        binary[suspect] = not (_is_json(value) or _is_text(value))
    found = raw.view("<f4")
    if len(rows) == len(values) and binary.all():
        return found, []
    samples = np.zeros((len(values), SAMPLES), np.float32)
    samples[rows[binary]] = found[binary]
    return samples, np.setdiff1d(np.arange(len(values)), rows[binary]).tolist()


def _is_text(value: bytes) -> bool:
    return not value.translate(None, _TEXT)  # a regular expression takes four times as long


def _is_json(value: bytes) -> bool:
    stripped = unwrapped(value).strip()
    return stripped.startswith(b"{") and stripped.endswith(b"}")


def _read_json(column: Column, rows: list[int], samples: NDArray[np.float32], rejected: dict[int, Rejected]) -> None:
    """Write the samples of the values at `rows`, none of them float32, to `samples` (n, 140), or reject them.

    `read_alike` reads values together whose frame, the JSON text around the numbers, is the same. The values that it
    leaves, and those that are too large, are looked at one by one, and only those can be rejected here.
    """
    candidates = np.array(rows, np.intp)
    is_too_large = column.size[candidates] > MAX_VALUE_BYTES
    left = read_alike(column, candidates[~is_too_large], samples)
    left = np.sort(np.concatenate([left, candidates[is_too_large]]))
    texts = {
        row: value
        for row, value in zip(left.tolist(), map(unwrapped, column.select(left)), strict=True)
        if row not in rejected and _may_be_json_else_reject(value, row, rejected)
    }
    json_rows = list(texts)
    found = np.zeros((len(texts), SAMPLES), np.float32)
    for place, error in read_samples(list(texts.values()), found).items():
        rejected[json_rows[place]] = Rejected(json_rows[place], error.reason, error.detail)
    samples[json_rows] = found


def _may_be_json_else_reject(value: bytes | None, row: int, rejected: dict[int, Rejected]) -> TypeGuard[bytes]:
    """Whether a value may be a JSON object. If not, its row and the reason are added to `rejected`."""
    try:
        _check_text(value)
    except UnclearError as error:
        rejected[row] = Rejected(row, error.reason, error.detail)
        return False
    return True


def _check_text(value: bytes | None) -> None:
    """Raise UnclearError, with what the value is, when it cannot be a JSON object."""
    if not value:
        raise UnclearError("empty", "the record has no value" if value is None else "the record's value is empty")
    if len(value) > MAX_VALUE_BYTES:
        raise UnclearError("too-large", f"{len(value)} bytes, where a beat has at most {MAX_VALUE_BYTES}")
    if _is_json(value):
        return
    if found := wrapping(value):
        raise UnclearError("wrapped", found)
    if _is_text(value):
        raise UnclearError("not-json", f"{count_of(len(value), 'byte')} of text, which is not a JSON object")
    raise UnclearError(
        "wrong-length", f"{count_of(len(value), 'byte')}, where {SAMPLES} float32 samples are {FLOAT32_BYTES}"
    )


def _reject_amplitudes(samples: NDArray[np.float32], rejected: dict[int, Rejected]) -> None:
    """Reject rows of samples (n, 140) with a sample that is not finite or too large.

    The maximum and the minimum of the whole batch come first, because they usually show that there is no such row, and
    computing them row by row takes ten times as long.
    """
    if samples.max(initial=0) <= MAX_AMPLITUDE and samples.min(initial=0) >= -MAX_AMPLITUDE:
        return
    highest, lowest = samples.max(axis=1, initial=0), samples.min(axis=1, initial=0)
    for row in np.flatnonzero(~((highest <= MAX_AMPLITUDE) & (lowest >= -MAX_AMPLITUDE))).tolist():
        rejected.setdefault(row, Rejected(row, *_why_refused(samples[row])))


def _why_refused(beat: NDArray[np.float32]) -> tuple[str, str]:
    """The reason and a sentence for a beat (140,) with a sample that is not finite or too large."""
    index = int(np.argmax(~(np.abs(beat) <= MAX_AMPLITUDE)))
    with np.errstate(invalid="ignore"):  # of a NaN among the swapped samples
        swapped = np.abs(beat.byteswap())
        is_swapped = bool((swapped <= _USUAL_AMPLITUDE).all() and (swapped > MIN_AMPLITUDE).any())
    if is_swapped:
        return "byte-order", f"sample {index} is {beat[index]:g}: {_BYTE_ORDER}"
    return "out-of-range" if np.isfinite(beat[index]) else "not-finite", f"sample {index} is {beat[index]:g}"


def _reject_tiny(samples: NDArray[np.float32], rejected: dict[int, Rejected]) -> None:
    """Reject rows of samples (n, 140) that are not flat, and in which no sample reaches MIN_AMPLITUDE.

    Big-endian float32 of whole numbers, and integers, read like this. Two columns show which rows to look at.
    """
    first, middle = np.abs(samples[:, 0]), np.abs(samples[:, SAMPLES // 2])
    for row in np.flatnonzero((first < MIN_AMPLITUDE) & (middle < MIN_AMPLITUDE)).tolist():
        largest = float(np.abs(samples[row]).max())
        if 0 < largest < MIN_AMPLITUDE and row not in rejected:
            rejected[row] = Rejected(row, "byte-order", f"the largest sample is {largest:g}: {_BYTE_ORDER}")
