"""Beats written as JSON: 140 float32 samples each, or a reason why a value is not a beat.

`strict_samples` decides: it parses one value strictly, and says why one is refused. (`parse` looks at the amplitude.)
It takes 25 µs for a beat. So most beats take a faster way, which accepts only values that `strict_samples` would
accept, with the same samples:

1. A value is cut at the `[` and the `]` of its samples. The text between them is the numerals. The rest is the frame,
   such as `{"samples":[]}`.
2. The numerals of many beats are parsed in one call.
3. The frame is checked (`_is_plain`): with any numbers in its list, it must be an object that `strict_samples`
   accepts. One check is enough for all beats of a batch that have the same frame, as the beats of one publisher do.

Beats with the same frame are cut inside the buffers that they came in, all at once (`read_alike`). A value for which
the faster way does not work goes to `strict_samples`.
"""

from __future__ import annotations

import math
import re
import struct
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from monitor.beats.beat import MAX_AMPLITUDE, SAMPLES
from monitor.beats.json_numbers import read_numbers
from monitor.beats.wrapping import unwrapped
from monitor.records import strict_json
from monitor.records.strict_json import UnclearError
from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.beats.json_numbers import Numbers
    from monitor.records.column import Column

_MAX_FLOAT32 = 3.4e38
_PACK = struct.Struct(f"<{SAMPLES}f").pack

_MAX_FRAMES = 4  # different frames that `read_alike` looks for in a batch
_GROUP = 32  # beats in one call of the parser of numbers: more gain little, and one bad beat costs them all
_END = b",9e99"  # put behind the numerals of each beat; no sample is as large
_NUMERIC = b"0123456789+-.eE, \t\n\r"
_NEGATIVE_ZERO = re.compile(rb"-0(?<![eE]-0)(?![.eE\d])")
_LARGE_BYTES = 4096  # no usual beat is as large
_MAX_BRACKETS = 100  # in a frame: far below the depth at which any parser gives up


def read_samples(
    values: Sequence[bytes], out: NDArray[np.float32], numbers: Numbers = read_numbers
) -> dict[int, UnclearError]:
    """Write the samples of n values to `out` (n, 140); gives the rows that are not beats, each with the reason.

    `numbers` parses a JSON list of numbers, see `json_numbers`. The rows of `out` that are not beats are undefined.
    """
    refused = {}
    for start in range(0, len(values), _GROUP):
        some = slice(start, start + _GROUP)
        for row in _read_plain(values[some], out[some], numbers):
            error = _read_strictly(values[start + row], out[start + row])
            if error:
                refused[start + row] = error
    return refused


def noise_field(value: bytes) -> float:
    """The field `noise` of a value that is a beat; NaN where there is none, or one that is not a number."""
    if b'"noise"' not in value:
        return math.nan
    before, _, after = _cut(unwrapped(value))
    for text in (before + after, unwrapped(value)):  # without the samples; with them where they were cut elsewhere
        with suppress(orjson.JSONDecodeError):
            noise = orjson.loads(text).get("noise")
            return float(noise) if type(noise) in {int, float} else math.nan
    return math.nan


def read_alike(
    column: Column, rows: NDArray[np.intp], out: NDArray[np.float32], numbers: Numbers = read_numbers
) -> NDArray[np.intp]:
    """Write the samples of values that have the same frame as many others to their rows of `out` (n, 140).

    `rows` (k,), ascending, are the rows of `column` to look at. Gives, ascending, those that are still to be read.
    """
    left = []
    for _ in range(_MAX_FRAMES):
        if len(rows) < _GROUP:
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
    """Write numerals, k of them, to `rows` (k,) of `out`; gives the rows whose group could not be read."""
    views, left = texts.views(), [rows[:0]]
    for start in range(0, len(rows), _GROUP):
        some, numerals = rows[start : start + _GROUP], list(islice(views, _GROUP))
        if not _read_together(numerals, some, out, numbers):
            left.append(some)
    return np.concatenate(left)


def _read_plain(values: Sequence[bytes], out: NDArray[np.float32], numbers: Numbers) -> list[int]:
    """Write the rows of the beats that can be read the faster way; gives the other rows."""
    texts, frames = [], []
    for value in values:
        before, text, after = _cut(value)
        texts.append(text)
        frames.append(before + after)
    plain = {frame for frame in set(frames) if _is_plain(frame)}
    rows = [row for row, frame in enumerate(frames) if frame in plain]
    others = [row for row, frame in enumerate(frames) if frame not in plain]
    return others + _write(rows, texts, out, numbers)


def _cut(value: bytes) -> tuple[bytes, bytes, bytes]:
    """The frame before the numerals, the numerals, the frame after them. A value that is not a beat is cut anywhere."""
    opening = _bracket(value) + 1
    closing = value.find(b"]", opening)
    return value[:opening], value[opening:closing], value[closing:]


def _bracket(value: bytes) -> int:
    """Where the list of samples probably begins; -1 where there is no `[`."""
    return value.find(b"[", value.find(b'"samples"'))


def _write(rows: list[int], texts: list[bytes], out: NDArray[np.float32], numbers: Numbers) -> list[int]:
    """Write the rows whose numerals are exactly 140 numbers, and return the others.

    When a group fails, it is read again without the texts that do not look like 140 numbers, or else in halves.
    """
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
    """Write the numerals of k beats to these rows (k,). False, with nothing written, unless each is 140 numbers."""
    found = _matrix(texts, numbers)
    if found is None:
        return False
    out[rows] = found
    for place in np.flatnonzero(~found.all(axis=1)).tolist():  # a zero may have been -0: the parser drops its sign
        _restore_signs(bytes(texts[place]), out[rows[place]], numbers)
    return True


def _matrix(texts: Sequence[bytes | memoryview], numbers: Numbers) -> NDArray[np.float64] | None:
    """The numbers of k beats (k, 140); None unless every text is exactly 140 numbers, none of them too large."""
    if not texts:
        return np.empty((0, SAMPLES))
    whole = b"[" + (_END + b",").join(texts) + _END + b"]"
    if whole.find(b"[", 1) >= 0 or whole.find(b"]") < len(whole) - 1:  # a list inside the list
        return None
    count = len(texts) * (SAMPLES + 1)
    if len(whole) > _LARGE_BYTES * len(texts) and whole.count(b",") != count - 1:  # do not parse lists of thousands
        return None
    try:
        flat = numbers(whole)
    except ValueError:
        return None
    if len(flat) != count:
        return None
    samples = flat.reshape(-1, SAMPLES + 1)[:, :SAMPLES]
    # If no sample is as large as _END, each _END is the 141st of its row: no text has borrowed a number of the next.
    return samples if (np.abs(samples) <= MAX_AMPLITUDE).all() else None


def _is_likely(text: bytes) -> bool:
    """Whether a text looks like 140 numbers: a cheap way to find the one that spoiled its group."""
    return text.count(b",") == SAMPLES - 1 and not text.translate(None, _NUMERIC)


def _restore_signs(text: bytes, out: NDArray[np.float32], numbers: Numbers) -> None:
    """Parse the numbers again where one is `-0`: parsers of numbers read that as an integer, which has no sign."""
    if _NEGATIVE_ZERO.search(text):
        out[:] = numbers(b"[" + _NEGATIVE_ZERO.sub(b"-0.0", text) + b"]")


def _is_plain(frame: bytes) -> bool:
    """Whether `strict_samples` accepts this frame with any 140 numbers in it, and the numbers were cut from `samples`.

    False where a field occurs twice or a string has an escaped quotation mark: the frame then has more quotation marks
    than `_quotes` says. False also for more than _MAX_BRACKETS brackets.
    """
    lists = frame.count(b"[")
    if lists + frame.count(b"{") > _MAX_BRACKETS:
        return False
    try:
        found = orjson.loads(frame)
        if found["samples"] != [] or frame.count(b'"') != _quotes(found):
            return False
        if lists == 1:
            return True
        start = _bracket(frame)  # one of several lists: put 0 in its place and see whether `samples` is 0 then
        return bool(orjson.loads(frame[:start] + b"0" + frame[start + 2 :])["samples"] == 0)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


def _quotes(found: dict[str, Any] | list[Any]) -> int:
    """The number of quotation marks that the JSON text of `found` has if no field occurs twice in it.

    orjson keeps only the last of two fields with the same name. So a text in which a field occurs twice, at any depth,
    has more quotation marks than this number.
    """
    quotes, values = (2 * len(found), found.values()) if isinstance(found, dict) else (0, found)
    for value in values:
        if type(value) is str:
            quotes += 2
        elif type(value) is dict or type(value) is list:
            quotes += _quotes(value)
    return quotes


def _read_strictly(value: bytes, out: NDArray[np.float32]) -> UnclearError | None:
    """Write the samples of one value to `out` (140,); gives why they cannot be read, else None."""
    try:
        out[:] = np.frombuffer(strict_samples(value), "<f4")
    except UnclearError as error:
        return error.with_traceback(None)  # the traceback would keep the whole batch in memory
    return None


def strict_samples(value: bytes) -> bytes:
    """The samples of one beat as 560 bytes of little-endian float32. Raises UnclearError for what is not a beat.

    Of a large value, the shape is looked at first, as a faster parser sees it: 60 KB of junk then take 0.5 ms, not 20.
    """
    if len(value) > _LARGE_BYTES:
        with suppress(orjson.JSONDecodeError):  # the strict parser says why
            _list_of_samples(orjson.loads(value))
    samples = _list_of_samples(strict_json.read(value))
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


def _list_of_samples(found: dict[str, Any]) -> list[Any]:
    """The `samples` of an object. Raises UnclearError unless they are a list of the right length."""
    if "samples" not in found:
        raise UnclearError("no-samples", "the JSON object has no field `samples`")
    samples = found["samples"]
    if not isinstance(samples, list):
        raise UnclearError("not-numbers", f"`samples` is {strict_json.kind(samples)}, where a list is expected")
    if len(samples) != SAMPLES:
        raise UnclearError(
            "wrong-length", f"`samples` has {count_of(len(samples), 'entry')}, where a beat has {SAMPLES}"
        )
    return samples
