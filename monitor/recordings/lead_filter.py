"""Filters raw samples of leads: a signal at 250 Hz, and an envelope that is high where the signal is steep.

Every output sample is computed from the same inputs in the same order, however the input is cut into chunks: the
filter goes sample by sample, and the moving averages are sums of whole numbers, which have no rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import butter, lfilter, sosfreqz

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 250
BAND_HZ = (0.5, 40.0)  # of the band-pass
QRS_HZ = 15.0  # where a QRS complex has most of its power
SHORT, LONG, SMOOTH = 7, 23, 21  # moving averages in samples: 28, 92 and 84 ms
DETAIL_DELAY = (LONG - 1) // 2  # samples by which `detail` lags behind `signal`
ENVELOPE_DELAY = DETAIL_DELAY + (SMOOTH - 1) // 2
STEPS_PER_MV = 2**16  # resolution of the whole numbers: 15 nV, far below the noise of any amplifier
DETAIL_PER_MV = LONG * SHORT * STEPS_PER_MV  # scale of `detail`
ENVELOPE_PER_MV = SMOOTH * DETAIL_PER_MV  # scale of `envelope`
MAX_MV = 2.0**20  # a sample beyond this is invalid
HISTORY = LONG + SMOOTH  # samples of `signal` that the moving averages look back on


@dataclass(frozen=True, slots=True)
class Filtered:
    """m new samples of each lead at 250 Hz, arrays (leads, m)."""

    signal: NDArray[np.float64]  # mV, 0.5 to 40 Hz
    detail: NDArray[np.int64]  # average of 28 ms minus average of 92 ms: large in a QRS complex; DETAIL_PER_MV
    envelope: NDArray[np.int64]  # average of |detail| over 84 ms; ENVELOPE_PER_MV
    is_valid: NDArray[np.bool_]  # False where a raw sample beside it was invalid: not finite, or beyond ±MAX_MV


@dataclass(slots=True)
class FilterMemory:
    """What the filter must remember of its leads."""

    sections: NDArray[np.float64]  # (sections, leads, 2), state of the band-pass
    held: NDArray[np.float64]  # (leads,), last valid raw sample
    base: NDArray[np.float64]  # (leads,), first valid raw sample; NaN before: without it the filter begins with a step
    last: NDArray[np.float64]  # (leads,), last sample of the band-pass
    last_valid: NDArray[np.bool_]  # (leads,)
    history: NDArray[np.int64]  # (leads, HISTORY), samples of `signal` that the moving averages of the next chunk need
    raw_count: int = 0  # samples that came in
    count: int = 0  # samples that went out


class LeadFilter:
    """Causal filter and resampling of one or more leads of the same rate; keeps what the next chunk needs."""

    def __init__(self, hz: float, leads: int = 1) -> None:
        self._hz = hz
        self._sections = butter(2, BAND_HZ, "bandpass", fs=hz, output="sos")
        self._coefficients = [(section[:3].copy(), section[3:].copy()) for section in self._sections]
        self.memory = FilterMemory(
            np.zeros((len(self._sections), leads, 2)),
            np.zeros(leads),
            np.full(leads, np.nan),
            np.zeros(leads),
            np.zeros(leads, np.bool_),
            np.zeros((leads, HISTORY), np.int64),
        )

    @property
    def delay_seconds(self) -> float:
        """Delay of the filter at the frequencies of a QRS complex (its group delay at 15 Hz)."""
        step = 0.1
        frequencies = [QRS_HZ - step, QRS_HZ + step]
        phase = np.unwrap(np.angle(sosfreqz(self._sections, frequencies, fs=self._hz)[1]))
        return float((phase[0] - phase[1]) / (2 * np.pi * 2 * step))

    def feed(self, raw: NDArray[np.float64]) -> Filtered:
        """Filter a chunk (leads, n) in mV, n > 0. An invalid sample is replaced by the last valid one before it."""
        memory = self.memory
        is_valid = None if np.abs(raw).max() <= MAX_MV else np.abs(raw) <= MAX_MV  # not so for NaN
        passed = self._passed(self._filled(raw, is_valid))
        signal, is_valid = self._resampled(passed, is_valid)
        whole = np.zeros((len(raw), 1 + HISTORY + signal.shape[1]), np.int64)  # a zero before it, for the sums
        whole[:, 1 : 1 + HISTORY] = memory.history
        whole[:, 1 + HISTORY :] = np.rint(signal * STEPS_PER_MV)
        memory.history = whole[:, -HISTORY:].copy()
        return Filtered(signal, *_averaged(whole, signal.shape[1]), is_valid)

    def _filled(self, raw: NDArray[np.float64], is_valid: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        """The chunk (leads, n) with invalid samples replaced, less the first valid sample of each lead; 0 before it."""
        memory = self.memory
        if is_valid is not None:
            place = np.where(is_valid, np.arange(1, raw.shape[1] + 1), 0)
            np.maximum.accumulate(place, axis=1, out=place)
            before = np.concatenate([memory.held[:, None], np.where(is_valid, raw, 0.0)], axis=1)
            raw = np.take_along_axis(before, place, axis=1)
        is_new = np.isnan(memory.base)
        if np.count_nonzero(is_new):
            first = np.zeros(len(raw), np.intp) if is_valid is None else np.argmax(is_valid, axis=1)
            starts = is_new if is_valid is None else is_new & is_valid.any(axis=1)
            memory.base[starts] = raw[starts, first[starts]]
            is_new = np.isnan(memory.base)
        memory.held = raw[:, -1].copy()
        filled = raw - memory.base[:, None]
        filled[is_new] = 0.0
        return filled

    def _passed(self, filled: NDArray[np.float64]) -> NDArray[np.float64]:
        """The band-pass of these samples (leads, n), behind the last one before: (leads, 1 + n).

        `lfilter` for each section gives what `sosfilt` gives, at a fraction of the cost of a call.
        """
        memory = self.memory
        for (numerator, denominator), state in zip(self._coefficients, memory.sections, strict=True):
            filled, state[:] = lfilter(numerator, denominator, filled, axis=1, zi=state)
        passed = np.empty((filled.shape[0], 1 + filled.shape[1]))
        passed[:, 0] = memory.last
        np.minimum(filled, MAX_MV, out=filled)
        np.maximum(filled, -MAX_MV, out=passed[:, 1:])
        memory.last = passed[:, -1].copy()
        return passed

    def _resampled(
        self, passed: NDArray[np.float64], is_valid: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The signal and its validity at 250 Hz, by linear interpolation between two neighbouring raw samples."""
        memory = self.memory
        first = memory.raw_count - 1  # number of the first column of `passed`
        memory.raw_count += passed.shape[1] - 1
        end = output_samples(memory.raw_count, self._hz)
        position = np.arange(memory.count, max(end, memory.count)) * (self._hz / RATE_HZ)
        memory.count += len(position)
        below = np.minimum(position.astype(np.intp), memory.raw_count - 1)
        position -= below
        left = below - first
        right = np.minimum(left + 1, passed.shape[1] - 1)
        before = memory.last_valid.copy()
        memory.last_valid[:] = True if is_valid is None else is_valid[:, -1]
        signal = passed.take(left, axis=1)
        signal += (passed.take(right, axis=1) - signal) * position
        if is_valid is None and before.all():
            return signal, np.ones(signal.shape, np.bool_)
        valid = np.ones(passed.shape, np.bool_)
        valid[:, 0] = before
        if is_valid is not None:
            valid[:, 1:] = is_valid
        return signal, valid.take(left, axis=1) & valid.take(right, axis=1)


def _averaged(whole: NDArray[np.int64], new: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`detail` and `envelope` for the last `new` of the samples."""
    sums = whole.cumsum(axis=1)
    offset = (LONG - SHORT) // 2  # the short average is centred in the long one
    detail = sums[:, offset + SHORT : -offset] - sums[:, offset : -offset - SHORT]
    detail *= LONG
    detail -= SHORT * (sums[:, LONG:] - sums[:, :-LONG])
    magnitude = np.zeros((len(whole), 1 + detail.shape[1]), np.int64)
    np.abs(detail, out=magnitude[:, 1:])
    magnitude = magnitude.cumsum(axis=1)
    envelope = magnitude[:, SMOOTH:] - magnitude[:, :-SMOOTH]
    return detail[:, detail.shape[1] - new :], envelope[:, envelope.shape[1] - new :]


def output_samples(raw_samples: int, hz: float) -> int:
    """How many samples at 250 Hz are known from so many raw ones."""
    return int((raw_samples - 1) * RATE_HZ / hz) + 1 if raw_samples else 0
