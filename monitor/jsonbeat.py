"""One beat written as JSON: 140 float32, or the reason why it is none."""

from __future__ import annotations

import math
import struct

import orjson

from monitor import document
from monitor.document import UnclearError

SAMPLES = 140
MAX_AMPLITUDE = 1e9  # whatever the unit: beyond it float32 squares overflow, and no amplifier gives it
_MAX_FLOAT32 = 3.4e38
_PACK = struct.Struct(f"<{SAMPLES}f").pack


def json_samples(value: bytes) -> bytes:
    """140 float32 from a JSON object, by the fast parser where its verdict cannot differ from the strict one's."""
    if b"\\" in value or b"true" in value or b"false" in value:
        return _strict_samples(value)
    try:
        found = orjson.loads(value)
        texts = sum(type(entry) is str for entry in found.values())
        if value.count(b'"') == 2 * (len(found) + texts):  # so no field stands twice, at any depth
            return _PACK(*found["samples"])
    except (orjson.JSONDecodeError, KeyError, TypeError, struct.error, OverflowError):
        pass  # the strict parser finds the reason
    return _strict_samples(value)


def _strict_samples(value: bytes) -> bytes:
    found = document.read(value)
    if "samples" not in found:
        raise UnclearError("no-samples", "the JSON object has no field `samples`")
    samples = found["samples"]
    if not isinstance(samples, list):
        raise UnclearError("not-numbers", f"`samples` is {document.kind(samples)}, where a list is expected")
    if len(samples) != SAMPLES:
        raise UnclearError("wrong-length", f"`samples` has {len(samples)} entries, where a beat has {SAMPLES}")
    for place, sample in enumerate(samples):
        if not isinstance(sample, float):
            raise UnclearError("not-numbers", f"sample {place} is {document.kind(sample)}, where a number is expected")
        if not math.isfinite(sample):
            raise UnclearError("not-finite", f"sample {place} is {sample}")
        if abs(sample) > _MAX_FLOAT32:
            raise UnclearError("out-of-range", f"sample {place} is {sample:g}, beyond ±{MAX_AMPLITUDE:g}")
    return _PACK(*samples)
