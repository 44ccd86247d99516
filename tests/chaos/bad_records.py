"""Records that are not beats: every known kind, and generated ones."""

from __future__ import annotations

import json
import random
import struct
from typing import TYPE_CHECKING

from tests.beats.test_parse import FLOAT32, NOT_BEATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BadRecord = tuple[str, bytes | None, bytes | None]  # kind, key (OWN: the source's own), value
OWN = b"own"
BAD_KEYS: dict[str, bytes | None] = {"no key": None, "an empty key": b"", "a key that is not UTF-8": b"bed \xff"}


def bad_records(rng: random.Random) -> Iterator[BadRecord]:
    """Yield bad records endlessly: each kind in turn, with new generated ones each time."""
    known: list[BadRecord] = [(kind, OWN, value) for kind, (value, _) in NOT_BEATS.items()]
    known += [(kind, key, FLOAT32) for kind, key in BAD_KEYS.items()]
    while True:
        yield from known
        for kind, make in MADE.items():
            for _ in range(8):
                yield kind, OWN, make(rng)


def _random_bytes(rng: random.Random) -> bytes:
    """Bytes of any length except that of a beat."""
    length = rng.choice([rng.randrange(1, 560), rng.randrange(561, 3000)])
    return rng.randbytes(length)


def _random_560(rng: random.Random) -> bytes:
    """Bytes of the length of a beat. The first sample is not valid, the rest is random."""
    return struct.pack("<f", rng.choice([1e30, -1e30, float("inf"), float("nan")])) + rng.randbytes(556)


def _random_text(rng: random.Random) -> bytes:
    return "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(160, 0xD7FF)])) for _ in range(50)).encode()


def _random_json(rng: random.Random) -> bytes:
    return json.dumps({"samples": _value(rng, 3)}).encode()


def _json_of_other_shape(rng: random.Random) -> bytes:
    return json.dumps(_value(rng, 4)).encode()


def _cut_json(rng: random.Random) -> bytes:
    whole = json.dumps({"samples": [rng.random() for _ in range(140)]}).encode()
    return whole[: rng.randrange(1, len(whole) - 1)]


def _one_sample_spoilt(rng: random.Random) -> bytes:
    samples: list[object] = [rng.random() for _ in range(140)]
    samples[rng.randrange(140)] = rng.choice([None, True, "1", [], {}, 1e10, float("nan"), float("-inf")])
    return json.dumps({"samples": samples}).encode()


def _value(rng: random.Random, depth: int) -> object:
    """Any JSON, but never 140 numbers in a list."""
    leaves: list[Callable[[], object]] = [
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: rng.randrange(-(10**18), 10**18),
        lambda: rng.uniform(-1e12, 1e12),
        lambda: "".join(chr(rng.randrange(32, 0x2FF)) for _ in range(rng.randrange(8))),
    ]
    if depth and rng.random() < 0.6:
        inner = [_value(rng, depth - 1) for _ in range(rng.randrange(5))]
        return inner if rng.random() < 0.5 else {f"field {number}": one for number, one in enumerate(inner)}
    return rng.choice(leaves)()


MADE: dict[str, Callable[[random.Random], bytes]] = {
    "random bytes": _random_bytes,
    "560 random bytes": _random_560,
    "random text": _random_text,
    "random JSON as samples": _random_json,
    "JSON of another shape": _json_of_other_shape,
    "JSON cut off": _cut_json,
    "one sample spoilt": _one_sample_spoilt,
}
KINDS = len(NOT_BEATS) + len(BAD_KEYS) + len(MADE)
