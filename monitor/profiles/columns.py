"""What is kept of sources, templates, learning sources and possible new templates: tables with a row each.

A row is one record of a structured array, so that all of it is read with one copy, and so that its bytes can be stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.profiles.points import POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FREE, LEARNING, KNOWN = 0, 1, 2  # phases of a source
SICK, JUMPED = 1, 2  # flags: see `Notice`; the last beat is a jump, see `sources`
MAX_TEMPLATES = 4
BLOCK = 24  # beats of a source after which its profile may change
RR_KEPT, Q_KEPT = 16, 48
# Beats that a learning source keeps, chosen at random among all it had. This bounds memory; no other size was tried.
RESERVOIR = 96
# The least `scale`, unit of the beats, and the largest sample of a template: with these no square overflows.
LEAST_SCALE, MAX_VALUE = 1e-7, 1e10
NEVER = np.iinfo(np.int64).min
NONE = -1
LOWEST_SCORE = -10.0  # of the run rule, in place of a score that counts for nothing

SUMS = 2 * POINTS + 2
TEMPLATE = np.dtype(
    [
        ("typical", "<f4", POINTS),  # without mean and slope, unit of the beats
        ("spread", "<f4", POINTS),  # w, in units of `scale`
        ("scale", "<f4"),  # standard deviation of the points of a beat
        ("sums", "<i2", SUMS),  # over the beats that fit since the last adaptation, see `adaptation`
    ]
)
CARRY = np.dtype(  # what the rules of `monitor.alarms` remember of a source
    [
        ("scores", "<f4", 2),  # of the last beat but one, and of the last: see `run_columns.RunCarry`
        ("weak", "<i4"),
        ("run", "<i4"),
        ("rr_ms", "<i4", 2),  # in the same order; 0 where it is not known
        ("singles", "<u2"),  # see `recent.ectopy.EctopyCarry`
        ("runs", "<u2"),
        ("fit_beats", "i1"),  # see `recent.model_fit.FitCarry`
        ("fit_above", "i1"),
        ("fit", "i1"),
        ("model", "<u4"),  # CRC-32 of the id of the model that these three are about
        ("noisy_beats", "<u2"),  # see `recent.poor_signal.SignalCarry`
        ("minute", "<i4"),
        ("poor_ms", "<i4"),
        ("is_noisy", "i1"),  # 0 or 1
        ("sick", "i1"),  # beats that are still to announce it, see `recent.technical.sick`
    ]
)
SOURCE = np.dtype(
    [
        ("rr", "<f4", RR_KEPT),  # last RR in seconds, the newest last; NaN where there was none yet
        ("q", "<f4", Q_KEPT),  # last q, see `rhythm`
        ("last_ms", "<i8"),  # time of the last beat; NEVER where it has none
        ("offset", "<i8"),  # of the record of the last beat; -1 where it is not known
        ("reset", "<i8"),  # offset of the control record with which a person made it learn again; -1 where nobody did
        ("carry", CARRY),
        ("heard_ms", "<i4"),  # time with beats while it learned
        ("beats", "<i4"),  # so far
        ("noise_hf", "<f4"),  # usual high-frequency noise, log
        ("noise_between", "<f4"),  # usual noise between beats, log; NaN where it is not known
        ("kept", "<f4"),  # share of the beats while it learned that fit a template
        ("since", "i1"),  # beats since the last multiple of BLOCK
        ("phase", "i1"),
        ("flags", "i1"),
        ("template_count", "i1"),
        ("row", "<i4"),  # of this record. Not stored, as the next three
        ("templates", "<i4", MAX_TEMPLATES),  # rows; NONE where there is none
        ("learning", "<i4"),
        ("candidate", "<i4"),
    ]
)
LEARNER = np.dtype(
    [
        ("shape", "i1", (RESERVOIR, SAMPLES)),  # beats in units of `step`
        ("step", "<f4", RESERVOIR),
        ("order", "<u4", RESERVOIR),  # random number of each beat; the smallest are kept
        ("q_before", "<f2", RESERVOIR),
        ("q_after", "<f2", RESERVOIR),
        ("noise_hf", "<f2", RESERVOIR),
        ("noise_between", "<f2", RESERVOIR),
        ("held", "<i2"),  # beats that are kept
        ("newest", "<i2"),  # where the last beat is kept; NONE if it is not
    ]
)
CANDIDATE = np.dtype(
    [
        ("typical", "<f4", POINTS),  # mean of its beats, without mean and slope
        ("sizes", "<f4", POINTS),  # mean size of the smoothed residual, in units of `scale`
        ("scale", "<f4"),
        ("beats", "<i4"),
        ("misses", "<i4"),  # beats since it began that fit neither it nor a template
        ("first_ms", "<i8"),  # time of its first beat
        ("last_ms", "<i8"),  # time of its last one
    ]
)


_FIELDS: Mapping[str, Any] = SOURCE.fields or {}
_CARRY_AT = int(_FIELDS["carry"][1])
CARRY_BYTES = slice(_CARRY_AT, _CARRY_AT + CARRY.itemsize)  # of the bytes of a record of SOURCE


def blank_source() -> NDArray[np.void]:
    """A row of a source that has not sent a beat."""
    row = np.zeros(1, SOURCE)
    for name in ("rr", "q", "noise_hf", "noise_between", "kept"):
        row[name] = np.nan
    row["last_ms"] = NEVER
    row["offset"] = row["reset"] = -1
    row["carry"]["scores"] = LOWEST_SCORE
    row["carry"]["minute"] = np.iinfo(np.int32).min
    row["templates"] = row["learning"] = row["candidate"] = NONE
    return row


def blank_learner() -> NDArray[np.void]:
    """A row of a source that begins to learn."""
    row = np.zeros(1, LEARNER)
    row["newest"] = NONE
    return row


def as_bytes(records: NDArray[np.void]) -> NDArray[np.uint8]:
    """The same memory (k, size of a record) of records (k,) that stand next to each other."""
    return records.view(np.uint8).reshape(len(records), records.dtype.itemsize)


def records_at(records: NDArray[np.void], places: NDArray[np.int64]) -> NDArray[np.void]:
    """A copy of the records at these places (k,). As bytes: NumPy copies records field by field."""
    return as_bytes(records).take(places, axis=0).view(records.dtype).ravel()


class RowTable:
    """Rows that are taken and given back. It grows by a half and never shrinks."""

    def __init__(self, blank: NDArray[np.void]) -> None:
        """`blank`: a record (1,) that every new row is a copy of."""
        self._blank = blank
        self.rows: NDArray[np.void] = np.empty(0, blank.dtype)  # replaced when the table grows: do not keep it
        self._free: list[int] = []

    def __len__(self) -> int:
        """Rows in use."""
        return len(self.rows) - len(self._free)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.void]:
        """A copy of these rows (k,)."""
        return records_at(self.rows, rows)

    def write(self, rows: NDArray[np.int64], records: NDArray[np.void]) -> None:
        """Put records (k,) into these rows (k,), all different."""
        as_bytes(self.rows)[rows] = as_bytes(records)

    def take(self, count: int) -> NDArray[np.int64]:
        """Blank rows (count,)."""
        if missing := max(0, count - len(self._free)):
            size = len(self.rows)
            grown = size + max(missing, size // 2, 16)
            rows = np.empty(grown, self._blank.dtype)
            rows[:size] = self.rows
            self.rows = rows
            self._free += range(grown - 1, size - 1, -1)
        taken = np.array([self._free.pop() for _ in range(count)], np.int64)
        self.rows[taken] = self._blank
        return taken

    def give_back(self, rows: NDArray[np.integer]) -> None:
        """Rows (k,) that are not needed any more; NONE is left out."""
        self._free += rows[rows >= 0].tolist()


class Tables:
    """All that is kept."""

    def __init__(self) -> None:
        self.sources = RowTable(blank_source())
        self.templates = RowTable(np.zeros(1, TEMPLATE))
        self.learners = RowTable(blank_learner())
        self.candidates = RowTable(np.zeros(1, CANDIDATE))
