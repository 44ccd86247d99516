"""The states of sources as bytes, and back. What is read back is checked: it may come from anybody.

A state is a version, the record of the source, the records of its templates, of its candidate and of its learning, as
far as it has them, and a checksum. All numbers are little-endian and exact, so a restored profile goes on bit for bit.
States of the same shape are written and read together, because there may be 100,000.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.profiles.columns import (
    BLOCK,
    CANDIDATE,
    JUMPED,
    KNOWN,
    LEARNER,
    LEARNING,
    LEAST_SCALE,
    MAX_TEMPLATES,
    MAX_VALUE,
    NEVER,
    NONE,
    RESERVOIR,
    SICK,
    SOURCE,
    TEMPLATE,
    RowTable,
    Tables,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAGIC = b"ECGP"
VERSION = 3
_HEAD = struct.Struct("<4sBBBB")  # magic, version, templates, candidates (0 or 1), learners (0 or 1)
_SUM = struct.Struct("<I")  # CRC-32 of all before it
MAX_PROFILE_BYTES = (
    _HEAD.size
    + SOURCE.itemsize
    + max(MAX_TEMPLATES * TEMPLATE.itemsize + CANDIDATE.itemsize, LEARNER.itemsize)
    + _SUM.size
)
LINKS = ("row", "templates", "candidate", "learning")  # numbers of rows, which are others where it is read back
MAX_MS = 2**62  # of times and offsets
MAX_COUNT = 2**31 - 2**16  # of beats
# Of what the rules of `monitor.alarms` remember, which this package may not import: a test holds them equal.
MOST_CARRIED = {"fit_beats": 11, "fit_above": 11, "fit": 2, "poor_ms": 60_000, "is_noisy": 1, "sick": 60}

Counts = tuple[int, int, int]  # templates, candidates, learners


@dataclass(frozen=True, slots=True)
class RestoredProfiles:
    """What came of n stored states."""

    rows: NDArray[np.int64]  # (n,), where they are now; -1 for those that were refused
    faults: dict[int, str]  # why, by number of the state


@cache
def _form(counts: Counts) -> np.dtype[np.void]:
    """The bytes of a state with so many records."""
    templates, candidates, learners = counts
    return np.dtype(
        [
            ("head", f"S{_HEAD.size}"),
            ("source", SOURCE),
            ("templates", TEMPLATE, (templates,)),
            ("candidate", CANDIDATE, (candidates,)),
            ("learning", LEARNER, (learners,)),
        ]
    )


def encode(tables: Tables, rows: NDArray[np.int64]) -> list[bytes]:
    """The states of the sources in these rows (k,)."""
    sources = tables.sources.read(rows)
    counts = np.stack([sources["template_count"], sources["candidate"] != NONE, sources["learning"] != NONE], axis=1)
    states = [b""] * len(rows)
    for shape in np.unique(counts, axis=0).tolist():
        members = np.flatnonzero((counts == shape).all(axis=1))
        some = sources[members]
        whole = np.zeros(len(members), _form(tuple(shape)))
        for name, table, count in zip(LINKS[1:], _linked(tables), shape, strict=True):
            links = some[name].reshape(len(some), -1)[:, :count].astype(np.int64)
            whole[name] = table.read(links.ravel()).reshape(links.shape)
        for name in LINKS:
            some[name] = NONE
        whole["source"] = some
        body, size = _with_head(whole, _HEAD.pack(MAGIC, VERSION, *shape)), whole.dtype.itemsize
        for place, member in enumerate(members.tolist()):
            state = body[place * size : (place + 1) * size]
            states[member] = state + _SUM.pack(zlib.crc32(state))
    return states


def _with_head(whole: NDArray[np.void], head: bytes) -> bytes:
    """The bytes of states (k,), each with this head. Text of NumPy would lose the zeros at its end."""
    raw = whole.view(np.uint8).reshape(len(whole), whole.dtype.itemsize)
    raw[:, : len(head)] = np.frombuffer(head, np.uint8)
    return raw.tobytes()


def _linked(tables: Tables) -> tuple[RowTable, RowTable, RowTable]:
    return tables.templates, tables.candidates, tables.learners


def restore(tables: Tables, states: Sequence[bytes]) -> RestoredProfiles:
    """Put stored states into new rows. A state that is none is refused with a sentence."""
    rows = np.full(len(states), NONE, np.int64)
    faults: dict[int, str] = {}
    shapes: defaultdict[Counts, list[int]] = defaultdict(list)
    for number, state in enumerate(states):
        shape = _shape(state)
        if isinstance(shape, str):
            faults[number] = shape
        else:
            shapes[shape].append(number)
    for shape, numbers in shapes.items():
        whole = np.frombuffer(b"".join(states[number][: -_SUM.size] for number in numbers), _form(shape))
        wrong = _wrong(whole, shape)
        faults |= {numbers[place]: wrong[place] for place in np.flatnonzero(wrong != "").tolist()}
        good = np.flatnonzero(wrong == "")
        rows[np.array(numbers)[good]] = _put(tables, whole[good], shape)
    return RestoredProfiles(rows, faults)


class StoredSource(NamedTuple):
    """What a stored state says of its source, besides its shape."""

    phase: int
    flags: int
    last_ms: int  # time of the last beat; NEVER where it has none


def stored_sources(states: Sequence[bytes]) -> list[StoredSource | None]:
    """What states say, without restoring them; None for one that is none. 100,000 take half a second."""
    found: list[StoredSource | None] = [None] * len(states)
    numbers = [number for number, state in enumerate(states) if not isinstance(_shape(state), str)]
    bodies = (states[number][_HEAD.size : _HEAD.size + SOURCE.itemsize] for number in numbers)
    sources = np.frombuffer(b"".join(bodies), SOURCE)
    columns = (sources[name].tolist() for name in StoredSource._fields)
    for number, *values in zip(numbers, *columns, strict=True):
        found[number] = StoredSource(*values)
    return found


def _put(tables: Tables, whole: NDArray[np.void], shape: Counts) -> NDArray[np.int64]:
    """Put states (k,) of one shape into new rows (k,)."""
    whole = whole.copy()
    for records in (whole["source"], whole["learning"]):
        _quieten(records)
    sources, rows = whole["source"].copy(), tables.sources.take(len(whole))
    sources["row"] = rows
    for name, table, count in zip(LINKS[1:], _linked(tables), shape, strict=True):
        taken = table.take(len(whole) * count)
        table.write(taken, np.ascontiguousarray(whole[name]).ravel())
        if count:
            links = sources[name] if sources[name].ndim > 1 else sources[name][:, None]
            links[:, :count] = taken.reshape(len(whole), count)
    tables.sources.write(rows, sources)
    return rows


def _quieten(records: NDArray[np.void]) -> None:
    """Replace every NaN by the usual one: arithmetic with a signalling NaN warns."""
    for name, (kind, *_) in (records.dtype.fields or {}).items():
        if kind.base.kind == "f":
            values = records[name]
            values[np.isnan(values)] = np.nan


def _shape(state: bytes) -> Counts | str:
    """How many records a state has, or what is wrong with it."""
    if not _HEAD.size + SOURCE.itemsize + _SUM.size <= len(state) <= MAX_PROFILE_BYTES:
        return f"a profile has at most {MAX_PROFILE_BYTES} bytes, and this one has {len(state)}"
    magic, version, templates, candidates, learners = _HEAD.unpack_from(state)
    if magic != MAGIC or version != VERSION:
        return f"it is not a profile of version {VERSION}"
    if templates > MAX_TEMPLATES or candidates > 1 or learners > 1:
        return "it announces more records than a profile has"
    shape = templates, candidates, learners
    if len(state) != _form(shape).itemsize + _SUM.size:
        return "its length is not that of the records that it announces"
    if zlib.crc32(state[: -_SUM.size]) != _SUM.unpack(state[-_SUM.size :])[0]:
        return "its checksum does not match"
    return shape


def _wrong(whole: NDArray[np.void], shape: Counts) -> NDArray[np.str_]:
    """What is wrong with the numbers of states (k,) of one shape; empty where nothing is."""
    checks = {
        "source": _is_source(whole["source"], shape),
        "templates": _is_template(whole["templates"]).all(axis=1),
        "candidate": _is_candidate(whole["candidate"]).all(axis=1),
        "learning": _is_learner(whole["learning"]).all(axis=1),
    }
    wrong = np.full(len(whole), "", "U60")
    for name, is_right in checks.items():
        wrong[~is_right] = f"a number of its {name} is none that a profile has"
    return wrong


def _is_between(values: NDArray[np.number], low: float, high: float) -> NDArray[np.bool_]:
    """Which numbers lie between these; NaN does not."""
    inside: NDArray[np.bool_] = (values >= low) & (values <= high)
    return inside


def _is_source(source: NDArray[np.void], shape: Counts) -> NDArray[np.bool_]:
    templates, candidates, learners = shape
    known = source["phase"] == KNOWN
    right: NDArray[np.bool_] = known | (source["phase"] == LEARNING)
    right &= (source["template_count"] == templates) & (known == (templates > 0))
    right &= (known == (learners == 0)) & (known | (candidates == 0))
    right &= _is_between(source["since"], 0, BLOCK - 1) & _is_between(source["beats"], 0, MAX_COUNT)
    right &= _is_between(source["heard_ms"], 0, MAX_COUNT)
    right &= (source["last_ms"] == NEVER) | _is_between(source["last_ms"], -MAX_MS, MAX_MS)
    right &= _is_between(source["flags"], 0, SICK | JUMPED)
    right &= _is_between(source["offset"], -1, MAX_MS) & _is_between(source["reset"], -1, MAX_MS)
    right &= _is_carry(source["carry"])
    for name in LINKS:
        right &= (source[name].reshape(len(source), -1) == NONE).all(axis=1)
    for name in ("rr", "q", "noise_hf", "noise_between", "kept"):  # NaN is right
        right &= ~(np.abs(source[name].reshape(len(source), -1)) > MAX_VALUE).any(axis=1)
    return right & ~(source["rr"] <= 0).any(axis=1)


def _is_carry(carry: NDArray[np.void]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = _is_between(carry["weak"], 0, MAX_COUNT) & _is_between(carry["run"], 0, MAX_COUNT)
    right &= _every(_is_between(carry["scores"], -MAX_VALUE, MAX_VALUE))
    for name, high in MOST_CARRIED.items():
        right &= _is_between(carry[name], 0, high)
    return right & _every(_is_between(carry["rr_ms"], 0, MAX_COUNT))


def _every(are_right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all numbers of a record (…, m) are right, (…)."""
    right: NDArray[np.bool_] = np.logical_and.reduce(are_right, axis=-1)
    return right


def _is_template(templates: NDArray[np.void]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = _every(_is_between(templates["typical"], -MAX_VALUE, MAX_VALUE))
    right &= _every(_is_between(templates["spread"], 0, MAX_VALUE))
    right &= _is_between(templates["scale"], LEAST_SCALE, MAX_VALUE)
    return right & _is_between(templates["sums"][..., -1], 0, BLOCK)


def _is_candidate(candidates: NDArray[np.void]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = _every(_is_between(candidates["typical"], -MAX_VALUE, MAX_VALUE))
    right &= _every(_is_between(candidates["sizes"], 0, MAX_VALUE))
    right &= _is_between(candidates["scale"], LEAST_SCALE, MAX_VALUE)
    right &= _is_between(candidates["beats"], 1, MAX_COUNT) & _is_between(candidates["misses"], 0, MAX_COUNT)
    right &= _is_between(candidates["last_ms"], -MAX_MS, MAX_MS)
    return right & _is_between(candidates["first_ms"], -MAX_MS, MAX_MS)


def _is_learner(learners: NDArray[np.void]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = _every(_is_between(learners["step"], 0, MAX_VALUE)) & _is_between(
        learners["held"], 0, RESERVOIR
    )
    right &= (learners["newest"] >= NONE) & (learners["newest"] < np.maximum(learners["held"], 1))
    for name in ("q_before", "q_after", "noise_hf", "noise_between"):
        right &= ~np.isinf(learners[name]).any(axis=-1)
    return right
