"""The state of a segmenter, and its form as bytes, from which a segmenter can be restored.

The bytes are those of safetensors: named arrays with their types and shapes, which run nothing when they are read.
Numbers and places are checked, so that no restored state makes a segmenter fail.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from monitor.beats.window import Window
from monitor.errors import RefusedError
from monitor.recordings.detector import (
    KEEP,
    LEARNED_REACH,
    LEVEL_BEATS,
    PEAK_FINAL,
    START,
    START_PIECES,
    FoundBeat,
    Lead,
    Peak,
)
from monitor.recordings.lead_filter import HISTORY, MAX_MV, STEPS_PER_MV, FilterMemory, output_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.recordings.lead_filter import Filtered

VERSION = 2  # 1 kept less of `detail`
MAX_COUNT = 2**48  # samples; more than any recording has
MAX_BYTES = 512 * 2**20
MAX_VALUE = 2.0**62  # of whole numbers and of heights
MAX_PEAKS = 64  # of a lead that are kept in a list; peaks lie at least 80 ms apart
MAX_PENDING_SECONDS = 4.0


@dataclass(slots=True)
class Kept:
    """The last samples of each lead at 250 Hz, arrays (leads, m)."""

    signal: NDArray[np.float64]
    valid: NDArray[np.bool_]
    detail: NDArray[np.int64]
    envelope: NDArray[np.int64]
    examined: int = 0  # peaks before this sample number are examined

    @classmethod
    def empty(cls, leads: int) -> Kept:
        """Before the first sample: zeros, which are not valid."""
        return cls(
            np.zeros((leads, KEEP)),
            np.zeros((leads, KEEP), np.bool_),
            np.zeros((leads, KEEP), np.int64),
            np.zeros((leads, KEEP), np.int64),
        )

    @property
    def is_valid(self) -> bool:
        """Whether all samples are valid."""
        return bool(np.count_nonzero(self.valid) == self.valid.size)

    def extended(self, new: Filtered) -> Kept:
        """With the new samples behind them."""
        return Kept(
            np.concatenate([self.signal, new.signal], axis=1),
            np.concatenate([self.valid, new.is_valid], axis=1),
            np.concatenate([self.detail, new.detail], axis=1),
            np.concatenate([self.envelope, new.envelope], axis=1),
            self.examined,
        )

    def last(self) -> Kept:
        """Only as many samples as later decisions look back on."""
        return Kept(
            self.signal[:, -KEEP:],
            self.valid[:, -KEEP:],
            self.detail[:, -KEEP:],
            self.envelope[:, -KEEP:],
            self.examined,
        )


@dataclass(slots=True)
class StoredState:
    """Everything that a segmenter must remember."""

    hz: float
    leads: int
    window: Window
    pending: NDArray[np.float64]  # (leads, n), raw samples that are not filtered yet
    filter: FilterMemory
    kept: Kept
    detectors: list[Lead]
    waiting: list[tuple[int, FoundBeat]]  # lead and beat where the window is not over
    is_finished: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """An array of a stored state. `sizes`: 0 stands for the number of leads, -1 for any length."""

    kind: type[np.generic]
    sizes: tuple[int, ...]
    low: float
    high: float
    may_be_nan: bool = False

    def shape(self, leads: int) -> tuple[int, ...]:
        """With the number of leads in place of 0."""
        return tuple(leads if size == 0 else size for size in self.sizes)

    def fits(self, array: NDArray[Any], leads: int) -> bool:
        """Whether an array has the type, the shape and values in the range."""
        shape = self.shape(leads)
        if array.dtype != self.kind or array.ndim != len(shape):
            return False
        if any(size not in (-1, found) for size, found in zip(shape, array.shape, strict=True)):
            return False
        if self.kind is np.bool_:
            return True
        inside = (array >= self.low) & (array <= self.high)
        return bool((inside | np.isnan(array)).all() if self.may_be_nan else inside.all())


_HIGHEST = MAX_MV * STEPS_PER_MV
SHAPES = {
    "whole": Shape(np.int64, (6,), 0, MAX_COUNT),
    "setting": Shape(np.float64, (3,), 0, MAX_COUNT),
    "pending": Shape(np.float64, (0, -1), -math.inf, math.inf, may_be_nan=True),
    "waiting": Shape(np.int64, (-1, 3), -1, MAX_COUNT),
    "level": Shape(np.float64, (0,), 0, MAX_VALUE),
    "places": Shape(np.int64, (0, 4), -1, MAX_COUNT),
    "learned": Shape(np.float64, (0, LEARNED_REACH + 1), 0, MAX_VALUE),
    "sections": Shape(np.float64, (2, 0, 2), -MAX_VALUE, MAX_VALUE),
    "held": Shape(np.float64, (0,), -MAX_MV, MAX_MV),
    "base": Shape(np.float64, (0,), -MAX_MV, MAX_MV, may_be_nan=True),
    "last": Shape(np.float64, (0,), -MAX_MV, MAX_MV),
    "last_valid": Shape(np.bool_, (0,), 0, 1),
    "history": Shape(np.int64, (0, HISTORY), -_HIGHEST, _HIGHEST),
    "signal": Shape(np.float64, (0, KEEP), -MAX_MV, MAX_MV),
    "valid": Shape(np.bool_, (0, KEEP), 0, 1),
    "detail": Shape(np.int64, (0, KEEP), -MAX_VALUE, MAX_VALUE),
    "envelope": Shape(np.int64, (0, KEEP), 0, MAX_VALUE),
    "maxima": Shape(np.int64, (-1, 2), 0, MAX_VALUE),
    "maxima_of": Shape(np.int64, (0,), 0, START_PIECES),
    "heights": Shape(np.float64, (-1,), 0, MAX_VALUE),
    "heights_of": Shape(np.int64, (0,), 0, LEVEL_BEATS),
    "intervals": Shape(np.int64, (-1,), 1, MAX_COUNT),
    "intervals_of": Shape(np.int64, (0,), 0, LEVEL_BEATS),
    "beats": Shape(np.float64, (-1, 4), -START, MAX_VALUE),
    "beats_of": Shape(np.int64, (0,), 0, MAX_PEAKS),
    "stored": Shape(np.float64, (-1, 4), -START, MAX_VALUE),
    "stored_of": Shape(np.int64, (0,), 0, MAX_PEAKS),
}
LISTS = ("maxima", "heights", "intervals", "beats", "stored")


def encoded(state: StoredState) -> bytes:
    """The state as bytes. The same state gives the same bytes."""
    memory, kept, window = state.filter, state.kept, state.window
    arrays = {
        "whole": [VERSION, state.leads, memory.raw_count, memory.count, kept.examined, state.is_finished],
        "setting": [state.hz, window.before_seconds, window.after_seconds],
        "pending": state.pending,
        "waiting": [(lead, *beat) for lead, beat in state.waiting],
        "level": [lead.level for lead in state.detectors],
        "places": [(lead.pieces, lead.final, lead.learned_beats, lead.searched) for lead in state.detectors],
        "learned": [lead.learned for lead in state.detectors],
    }
    arrays |= {field.name: getattr(memory, field.name) for field in fields(memory) if field.name in SHAPES}
    arrays |= {field.name: getattr(kept, field.name) for field in fields(kept) if field.name in SHAPES}
    for name in LISTS:
        lists = [list(getattr(lead, name)) for lead in state.detectors]
        arrays |= {name: [one for part in lists for one in part], f"{name}_of": [len(part) for part in lists]}
    shaped = {
        name: np.ascontiguousarray(np.array(arrays[name], known.kind).reshape(known.shape(state.leads)))
        for name, known in SHAPES.items()
    }
    return save(shaped)


def decoded(data: bytes) -> StoredState:
    """The state in these bytes. Raises ValueError, with a sentence, for bytes that no segmenter gave."""
    arrays = _arrays(data)
    try:
        window = Window("r-centred", *arrays["setting"][1:].tolist())
    except RefusedError as error:
        raise _wrong(str(error)) from None
    leads, raw_count, count, examined, is_finished = arrays["whole"][1:].tolist()
    hz = float(arrays["setting"][0])
    if hz < 1 or count != output_samples(raw_count, hz) or examined != (count - PEAK_FINAL if count >= START else 0):
        raise _wrong("its sample numbers contradict each other")
    if arrays["pending"].shape[1] > MAX_PENDING_SECONDS * hz:
        raise _wrong("too many samples wait")
    memory = FilterMemory(**_of(FilterMemory, arrays), raw_count=raw_count, count=count)
    kept = Kept(**_of(Kept, arrays), examined=examined)
    waiting = [(lead, FoundBeat(r, before)) for lead, r, before in arrays["waiting"].tolist()]
    if any(not 0 <= lead < leads or max(beat) >= count or beat.r < 0 for lead, beat in waiting):
        raise _wrong("a waiting beat lies outside")
    detectors = _detectors(arrays, leads, count)
    return StoredState(hz, leads, window, arrays["pending"], memory, kept, detectors, waiting, bool(is_finished))


def _of(kind: type[FilterMemory | Kept], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The arrays that are fields of a class."""
    return {field.name: arrays[field.name] for field in fields(kind) if field.name in arrays}


def _detectors(arrays: dict[str, NDArray[Any]], leads: int, count: int) -> list[Lead]:
    """What is known of each lead. Raises ValueError for places that are out of order or lie behind the last sample."""
    lists = {name: _parted(arrays, name) for name in LISTS}
    found = []
    for number in range(leads):
        pieces, final, learned_beats, searched = arrays["places"][number].tolist()
        beats, stored = ([_peak(row) for row in lists[name][number]] for name in ("beats", "stored"))
        for peaks in (beats, stored):
            places = [peak.place for peak in peaks]
            if places != sorted(set(places)) or any(peak.r > peak.place or peak.place >= count for peak in peaks):
                raise _wrong("its peaks are out of order")
        found.append(
            Lead(
                level=float(arrays["level"][number]),
                pieces=pieces,
                maxima=[(second, largest) for second, largest in lists["maxima"][number]],
                heights=deque(lists["heights"][number], maxlen=LEVEL_BEATS),
                intervals=deque(map(int, lists["intervals"][number]), maxlen=LEVEL_BEATS),
                beats=beats,
                final=final,
                stored=deque(stored),
                learned=np.array(arrays["learned"][number]),
                learned_beats=learned_beats,
                searched=searched,
            )
        )
    return found


def _peak(row: list[float]) -> Peak:
    place, height, slope, r = row
    return Peak(int(place), height, slope, int(r))


def _parted(arrays: dict[str, NDArray[Any]], name: str) -> list[list[Any]]:
    """A list of each lead, from all lists one after the other."""
    lengths = arrays[f"{name}_of"].tolist()
    if sum(lengths) != len(arrays[name]):
        raise _wrong(f"{name} are not as many as it says")
    ends = np.cumsum(lengths).tolist()
    rows = arrays[name].tolist()
    return [rows[end - length : end] for length, end in zip(lengths, ends, strict=True)]


def _arrays(data: object) -> dict[str, NDArray[Any]]:
    """The arrays by their names, with the types, shapes and ranges of SHAPES."""
    if not isinstance(data, bytes) or len(data) > MAX_BYTES:
        raise _wrong(f"it is not bytes, or more than {MAX_BYTES:,}")
    try:
        arrays = {name: array.copy() for name, array in load(data).items()}
    except (SafetensorError, KeyError, ValueError) as error:
        raise _wrong(f"it cannot be read ({str(error)[:80]})") from None
    if arrays.keys() != SHAPES.keys() or not SHAPES["whole"].fits(arrays["whole"], 0):
        raise _wrong("it has other parts")
    version, leads = arrays["whole"][:2].tolist()
    if version != VERSION:
        raise _wrong(f"it is of version {version}, where {VERSION} is read")
    for name, known in SHAPES.items():
        if not known.fits(arrays[name], leads):
            raise _wrong(f"its {name} are not possible")
    return arrays


def _wrong(why: str) -> ValueError:
    return ValueError(f"this is not the state of a segmenter: {why}")
