"""Beats written as JSON: 140 float32 each, or the reason why one is none.

The strict parser gives every refusal. A beat takes it 25 µs, so each is first cut in two, behind the `[` of its samples
and before the next `]`. The numbers in between go, together with those of other beats, to a parser of numbers; the
rest, as short as `{"samples":[]}`, is judged by itself. Where both are such that the strict parser could only agree, it
is not asked. Beats whose rest is the same, as those of one publisher are, are cut where they lie, all at once.
"""

from __future__ import annotations

import math
import re
import struct
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from monitor.beats.beat import MAX_AMPLITUDE, SAMPLES
from monitor.beats.json_numbers import read_numbers
from monitor.records import strict_json
from monitor.records.strict_json import UnclearError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.beats.json_numbers import Numbers
    from monitor.records.column import Column

_MAX_FLOAT32 = 3.4e38
_PACK = struct.Struct(f"<{SAMPLES}f").pack

_FORMS = 4  # ways to write a beat that are looked for in a batch
_TOGETHER = 32  # beats to one call of the parser of numbers: more gain little, and one bad beat costs them all
_END = b",9e99"  # stands behind each beat's numbers; no sample is as large
_NUMERIC = b"0123456789+-.eE, \t\n\r"
_NEGATIVE_ZERO = re.compile(rb"-0(?<![eE]-0)(?![.eE\d])")
_MAX_BRACKETS = 100  # far from the depth at which any parser gives up


def read_samples(
    values: Sequence[bytes], out: NDArray[np.float32], numbers: Numbers = read_numbers
) -> dict[int, UnclearError]:
    """Write the samples of each value to its row of `out` (n, 140); which rows are no beats, and why."""
    refused = {}
    for start in range(0, len(values), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        for row in _read_plain(values[some], out[some], numbers):
            error = _read_strictly(values[start + row], out[start + row])
            if error:
                refused[start + row] = error
    return refused


def read_alike(
    column: Column, rows: NDArray[np.intp], out: NDArray[np.float32], numbers: Numbers = read_numbers
) -> NDArray[np.intp]:
    """Write the samples of beats that are written like others around them to their rows of `out`; gives other rows.

    `rows` (k,), ascending, of `column`: those to look at.
    """
    left = []
    for _ in range(_FORMS):
        if len(rows) < _TOGETHER:
            break
        before, _, after = _cut(column[int(rows[0])] or b"")
        if not _is_plain(before + after):
            left.append(rows[:1])
            rows = rows[1:]
            continue
        is_alike = column.framed(rows, before, after)
        alike, rows = rows[is_alike], rows[~is_alike]
        left.append(_write_alike(column.select(alike).trimmed(len(before), len(after)), alike, out, numbers))
    return np.sort(np.concatenate([*left, rows]))


def _write_alike(texts: Column, rows: NDArray[np.intp], out: NDArray[np.float32], numbers: Numbers) -> NDArray[np.intp]:
    views, left = texts.views(), [rows[:0]]
    for start in range(0, len(rows), _TOGETHER):
        some, numerals = rows[start : start + _TOGETHER], list(islice(views, _TOGETHER))
        if not _read_together(numerals, some, out, numbers):
            left.append(some)
    return np.concatenate(left)


def _read_plain(values: Sequence[bytes], out: NDArray[np.float32], numbers: Numbers) -> list[int]:
    """Write the rows of the beats about which the strict parser could only agree; gives the other rows."""
    texts, rests = [], []
    for value in values:
        before, text, after = _cut(value)
        texts.append(text)
        rests.append(before + after)
    plain = {rest for rest in set(rests) if _is_plain(rest)}
    rows = [row for row, rest in enumerate(rests) if rest in plain]
    others = [row for row, rest in enumerate(rests) if rest not in plain]
    return others + _write(rows, texts, out, numbers)


def _cut(value: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before the samples, they, and what is behind them; of no beat anything."""
    opening = _bracket(value) + 1
    closing = value.find(b"]", opening)
    return value[:opening], value[opening:closing], value[closing:]


def _bracket(value: bytes) -> int:
    """Where the list of samples probably begins."""
    return value.find(b"[", value.find(b'"samples"'))


def _write(rows: list[int], texts: list[bytes], out: NDArray[np.float32], numbers: Numbers) -> list[int]:
    """Write the rows whose texts are 140 numbers and no more; gives the others."""
    if _read_together([texts[row] for row in rows], rows, out, numbers):
        return []
    unlikely = {row for row in rows if not _is_likely(texts[row])}
    likely = [row for row in rows if row not in unlikely]
    if len(rows) == 1 or not likely:
        return rows
    half = len(likely) if unlikely else len(likely) // 2
    return [*unlikely, *_write(likely[:half], texts, out, numbers), *_write(likely[half:], texts, out, numbers)]


def _read_together(
    texts: Sequence[bytes | memoryview],
    rows: Sequence[int] | NDArray[np.intp],
    out: NDArray[np.float32],
    numbers: Numbers,
) -> bool:
    """Whether each text is 140 numbers and no more; then they are written to these rows."""
    found = _matrix(texts, numbers)
    if found is None:
        return False
    out[rows] = found
    for place in np.flatnonzero(~found.all(axis=1)).tolist():
        _restore_signs(bytes(texts[place]), out[rows[place]], numbers)
    return True


def _matrix(texts: Sequence[bytes | memoryview], numbers: Numbers) -> NDArray[np.float64] | None:
    """A row for each text, when every one is 140 numbers, none too large, and no more."""
    if not texts:
        return np.empty((0, SAMPLES))
    whole = b"[" + (_END + b",").join(texts) + _END + b"]"
    if whole.find(b"[", 1) >= 0 or whole.find(b"]") < len(whole) - 1:  # lists in the list
        return None
    try:
        flat = numbers(whole)
    except ValueError:
        return None
    if len(flat) != len(texts) * (SAMPLES + 1):
        return None
    samples = flat.reshape(-1, SAMPLES + 1)[:, :SAMPLES]
    # With no end among the samples, each stands behind 140 of them: no text has taken a number from the next one.
    return samples if (np.abs(samples) <= MAX_AMPLITUDE).all() else None


def _is_likely(text: bytes) -> bool:
    return text.count(b",") == SAMPLES - 1 and not text.translate(None, _NUMERIC)


def _restore_signs(text: bytes, out: NDArray[np.float32], numbers: Numbers) -> None:
    """Write the numbers again when one is -0, which parsers of numbers take for an integer, without a sign."""
    if _NEGATIVE_ZERO.search(text):
        out[:] = numbers(b"[" + _NEGATIVE_ZERO.sub(b"-0.0", text) + b"]")


def _is_plain(rest: bytes) -> bool:
    """Whether the strict parser takes this object whatever numbers its cut list holds, and as its `samples`."""
    lists = rest.count(b"[")
    if lists + rest.count(b"{") > _MAX_BRACKETS:
        return False
    try:
        found = orjson.loads(rest)
        if found["samples"] != [] or rest.count(b'"') != _quotes(found):
            return False
        if lists == 1:
            return True
        start = _bracket(rest)  # of several lists it is the one of the samples, if these change with it
        return bool(orjson.loads(rest[:start] + b"0" + rest[start + 2 :])["samples"] == 0)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


def _quotes(found: dict[str, Any] | list[Any]) -> int:
    """How many quotes this was written with, if no field stood twice, at any depth; else there were more."""
    quotes, held = (2 * len(found), found.values()) if isinstance(found, dict) else (0, found)
    for value in held:
        if type(value) is str:
            quotes += 2
        elif type(value) is dict or type(value) is list:
            quotes += _quotes(value)
    return quotes


def _read_strictly(value: bytes, out: NDArray[np.float32]) -> UnclearError | None:
    try:
        out[:] = np.frombuffer(strict_samples(value), "<f4")
    except UnclearError as error:
        return error.with_traceback(None)  # which would keep the whole batch
    return None


def strict_samples(value: bytes) -> bytes:
    """The 140 float32 of one beat, by the parser that decides; raises UnclearError."""
    found = strict_json.read(value)
    if "samples" not in found:
        raise UnclearError("no-samples", "the JSON object has no field `samples`")
    samples = found["samples"]
    if not isinstance(samples, list):
        raise UnclearError("not-numbers", f"`samples` is {strict_json.kind(samples)}, where a list is expected")
    if len(samples) != SAMPLES:
        raise UnclearError("wrong-length", f"`samples` has {len(samples)} entries, where a beat has {SAMPLES}")
    for place, sample in enumerate(samples):
        if not isinstance(sample, float):
            raise UnclearError(
                "not-numbers", f"sample {place} is {strict_json.kind(sample)}, where a number is expected"
            )
        if not math.isfinite(sample):
            raise UnclearError("not-finite", f"sample {place} is {sample}")
        if abs(sample) > _MAX_FLOAT32:
            raise UnclearError("out-of-range", f"sample {place} is {sample:g}, beyond ±{MAX_AMPLITUDE:g}")
    return _PACK(*samples)
