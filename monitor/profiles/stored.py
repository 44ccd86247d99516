"""The state of a source as bytes, and back. What is read back is checked: it may come from anybody.

A version, the record of the source, the records of its templates, of its candidate and of its learning, as far as it
has them, and a checksum. All numbers are little-endian and exact, so a restored profile goes on bit for bit.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import (
    BLOCK,
    CANDIDATE,
    KNOWN,
    LEARNER,
    LEARNING,
    MAX_TEMPLATES,
    NEVER,
    NONE,
    RESERVOIR,
    SICK,
    SOURCE,
    TEMPLATE,
    Table,
    Tables,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"ECGP"
VERSION = 1
_HEAD = struct.Struct("<4sBBBB")  # magic, version, templates, candidates (0 or 1), learners (0 or 1)
_TAIL = struct.Struct("<I")  # CRC-32 of all before it
MAX_PROFILE_BYTES = (
    _HEAD.size
    + SOURCE.itemsize
    + max(MAX_TEMPLATES * TEMPLATE.itemsize + CANDIDATE.itemsize, LEARNER.itemsize)
    + _TAIL.size
)
MAX_MS = 2**62  # of times
MAX_VALUE = 1e12  # of samples and what is computed from them; a beat has at most 1e9
LEAST_SCALE = 1e-12
MAX_COUNT = 2**31 - 2**16  # of beats


def encode(tables: Tables, row: int) -> bytes:
    """The state of the source in this row."""
    source = tables.sources.rows[[row]]
    parts = [
        table.rows[source[name][source[name] != NONE]].tobytes()
        for name, table in (
            ("templates", tables.templates),
            ("candidate", tables.candidates),
            ("learning", tables.learners),
        )
    ]
    counts = [int((source[name] != NONE).sum()) for name in ("templates", "candidate", "learning")]
    for name in ("templates", "candidate", "learning"):
        source[name] = NONE
    body = b"".join([_HEAD.pack(MAGIC, VERSION, *counts), source.tobytes(), *parts])
    return body + _TAIL.pack(zlib.crc32(body))


def restore(tables: Tables, state: bytes) -> int:
    """Put a stored state into a new row, which is returned. Raises ValueError with a sentence for what is not one."""
    source, templates, candidates, learners = _decode(state)
    row = tables.sources.take(1)
    taken = [
        _put(table, records)
        for table, records in (
            (tables.templates, templates),
            (tables.candidates, candidates),
            (tables.learners, learners),
        )
    ]
    source["templates"][0, : len(templates)] = taken[0]
    source["candidate"], source["learning"] = (part[0] if len(part) else NONE for part in taken[1:])
    tables.sources.rows[row] = source
    return int(row[0])


def _put(table: Table, records: NDArray[np.void]) -> NDArray[np.int64]:
    rows = table.take(len(records))
    table.rows[rows] = records
    return rows


def _decode(
    state: bytes,
) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void], NDArray[np.void]]:
    """The records of the source, its templates, its candidate and its learning."""
    if len(state) < _HEAD.size or len(state) > MAX_PROFILE_BYTES:
        raise ValueError(f"a profile has {_HEAD.size} to {MAX_PROFILE_BYTES} bytes, this has {len(state)}")
    magic, version, *counts = _HEAD.unpack_from(state)
    if magic != MAGIC or version != VERSION:
        raise ValueError(f"it is not a profile of version {VERSION}")
    kinds = (SOURCE, TEMPLATE, CANDIDATE, LEARNER)
    sizes = [kind.itemsize * count for kind, count in zip(kinds, (1, *counts), strict=True)]
    if len(state) != _HEAD.size + sum(sizes) + _TAIL.size:
        raise ValueError("its length is not that of the records that it announces")
    if zlib.crc32(state[: -_TAIL.size]) != _TAIL.unpack(state[-_TAIL.size :])[0]:
        raise ValueError("its checksum does not match")
    starts = np.cumsum([_HEAD.size, *sizes])[:-1].tolist()
    source, templates, candidates, learners = (
        np.frombuffer(state, kind, count, start).copy()
        for kind, count, start in zip(kinds, (1, *counts), starts, strict=True)
    )
    _check_source(source, counts)
    _check_templates(templates)
    _check_candidates(candidates)
    _check_learners(learners)
    return source, templates, candidates, learners


def _require(what: str, *are_right: object) -> None:
    if not all(np.all(right) for right in are_right):  # type: ignore[arg-type]
        raise ValueError(f"{what} has a number that no profile has")


def _check_source(source: NDArray[np.void], counts: list[int]) -> None:
    one = source[0]
    templates, candidates, learners = counts
    is_known = one["phase"] == KNOWN
    numbers = (one["rr"], one["q"], one["noise_hf"], one["noise_between"], one["kept"])
    _require(
        "the source",
        one["phase"] in (KNOWN, LEARNING),
        one["template_count"] == templates,
        is_known == (1 <= templates <= MAX_TEMPLATES),
        candidates == 0 or (candidates == 1 and is_known),
        learners == (not is_known),
        0 <= one["since"] < BLOCK,
        0 <= one["beats"] <= MAX_COUNT,
        0 <= one["heard_ms"] <= MAX_COUNT,
        one["last_ms"] == NEVER or abs(int(one["last_ms"])) <= MAX_MS,
        one["flags"] in (0, SICK),
        *(one[name] == NONE for name in ("templates", "candidate", "learning")),
        *(~(np.abs(part) > MAX_VALUE) for part in numbers),  # NaN is right
        ~(one["rr"] <= 0),
    )


def _check_templates(templates: NDArray[np.void]) -> None:
    _require(
        "a template",
        np.abs(templates["typical"]) <= MAX_VALUE,
        (templates["spread"] >= 0) & (templates["spread"] <= MAX_VALUE),
        (templates["scale"] >= LEAST_SCALE) & (templates["scale"] <= MAX_VALUE),
        (templates["matched"] >= 0) & (templates["matched"] <= BLOCK),
    )


def _check_candidates(candidates: NDArray[np.void]) -> None:
    _require(
        "new conduction",
        np.abs(candidates["typical"]) <= MAX_VALUE,
        (candidates["sizes"] >= 0) & (candidates["sizes"] <= MAX_VALUE),
        (candidates["scale"] >= LEAST_SCALE) & (candidates["scale"] <= MAX_VALUE),
        (candidates["beats"] >= 1) & (candidates["beats"] <= MAX_COUNT),
        (candidates["misses"] >= 0) & (candidates["misses"] <= MAX_COUNT),
        (candidates["first_ms"] >= -MAX_MS) & (candidates["first_ms"] <= MAX_MS),
    )


def _check_learners(learners: NDArray[np.void]) -> None:
    halves = ("q_before", "q_after", "noise_hf", "noise_between")
    _require(
        "what was learned",
        (learners["step"] >= 0) & (learners["step"] <= MAX_VALUE),
        (learners["held"] >= 0) & (learners["held"] <= RESERVOIR),
        (learners["newest"] >= NONE) & (learners["newest"] < np.maximum(learners["held"], 1)),
        *(~np.isinf(learners[name]) for name in halves),
    )
