"""Filters raw samples of leads: a signal at 250 Hz, and an envelope that is high where the signal is steep.

Every output sample is computed from the same inputs in the same order, however the input is cut into chunks: the
filter goes sample by sample, and the moving averages are sums of whole numbers, which have no rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import butter, sosfilt, sosfreqz

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 250
BAND_HZ = (0.5, 40.0)
QRS_HZ = 15.0  # where a QRS complex has most of its power
SHORT, LONG, SMOOTH = 7, 23, 21  # moving averages in samples: 28, 92 and 84 ms
DETAIL_DELAY = (LONG - 1) // 2  # samples by which `detail` lags behind `signal`
ENVELOPE_DELAY = DETAIL_DELAY + (SMOOTH - 1) // 2
STEPS_PER_MV = 2**16  # resolution of the whole numbers: 15 nV, far below the noise of any amplifier
MAX_MV = 2.0**20
_HISTORY = LONG + SMOOTH  # samples of `signal` that the moving averages of the next chunk need


@dataclass(frozen=True, slots=True)
class Filtered:
    """m new samples of each lead at 250 Hz, arrays (leads, m)."""

    signal: NDArray[np.float64]  # mV, 0.5 to 40 Hz
    detail: NDArray[np.int64]  # average of 28 ms minus average of 92 ms: large in a QRS complex; fixed scale
    envelope: NDArray[np.int64]  # average of |detail| over 84 ms; fixed scale
    is_valid: NDArray[np.bool_]  # False where a raw sample beside it was invalid: not finite, or beyond ±MAX_MV


class LeadFilter:
    """Causal filter and resampling of one or more leads of the same rate; keeps what the next chunk needs."""

    def __init__(self, hz: float, leads: int = 1) -> None:
        self._hz = hz
        self._sections = butter(2, BAND_HZ, "bandpass", fs=hz, output="sos")
        self._filter_state = np.zeros((len(self._sections), leads, 2))
        self._raw_count = self._count = 0
        self._held = np.zeros(leads)  # last finite raw sample
        self._base = np.full(leads, np.nan)  # first finite raw sample: without it the filter begins with a step
        self._last = np.zeros(leads)
        self._last_valid = np.zeros(leads, np.bool_)
        self._history = np.zeros((leads, _HISTORY), np.int64)

    @property
    def delay_seconds(self) -> float:
        """Delay of the filter at the frequencies of a QRS complex (its group delay at 15 Hz)."""
        step = 0.1
        frequencies = [QRS_HZ - step, QRS_HZ + step]
        phase = np.unwrap(np.angle(sosfreqz(self._sections, frequencies, fs=self._hz)[1]))
        return float((phase[0] - phase[1]) / (2 * np.pi * 2 * step))

    def feed(self, raw: NDArray[np.float64]) -> Filtered:
        """Filter a chunk (leads, n) in mV, n > 0. An invalid sample is replaced by the last valid one before it."""
        filled, is_finite = self._filled(raw)
        signal, self._filter_state = sosfilt(self._sections, filled, zi=self._filter_state)
        signal, is_valid = self._resampled(np.clip(signal, -MAX_MV, MAX_MV), is_finite)
        whole = np.concatenate([self._history, np.rint(signal * STEPS_PER_MV).astype(np.int64)], axis=1)
        self._history = whole[:, -_HISTORY:].copy()
        sums = np.cumsum(np.pad(whole, ((0, 0), (1, 0))), axis=1)
        short, long = sums[:, SHORT:] - sums[:, :-SHORT], sums[:, LONG:] - sums[:, :-LONG]
        offset = (LONG - SHORT) // 2  # the short average is centred in the long one
        detail = LONG * short[:, offset : offset + long.shape[1]] - SHORT * long
        magnitude = np.cumsum(np.pad(np.abs(detail), ((0, 0), (1, 0))), axis=1)
        envelope = magnitude[:, SMOOTH:] - magnitude[:, :-SMOOTH]
        new = signal.shape[1]
        return Filtered(signal, detail[:, detail.shape[1] - new :], envelope[:, envelope.shape[1] - new :], is_valid)

    def _filled(self, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        is_finite = np.isfinite(raw) & (np.abs(raw) <= MAX_MV)
        if not is_finite.all():
            place = np.where(is_finite, np.arange(1, raw.shape[1] + 1), 0)
            np.maximum.accumulate(place, axis=1, out=place)
            before = np.concatenate([self._held[:, None], np.where(is_finite, raw, 0.0)], axis=1)
            raw = np.take_along_axis(before, place, axis=1)
        first = np.argmax(is_finite, axis=1)
        starts = np.isnan(self._base) & is_finite.any(axis=1)
        self._base[starts] = raw[starts, first[starts]]
        self._held = raw[:, -1].copy()
        return np.where(np.isnan(self._base)[:, None], 0.0, raw - np.nan_to_num(self._base)[:, None]), is_finite

    def _resampled(
        self, signal: NDArray[np.float64], is_finite: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The signal and its validity at 250 Hz, by linear interpolation between two neighbouring raw samples."""
        known = np.concatenate([self._last[:, None], signal], axis=1)
        known_valid = np.concatenate([self._last_valid[:, None], is_finite], axis=1)
        first = self._raw_count - 1  # index of the first column of `known`
        self._raw_count += signal.shape[1]
        end = int(np.floor((self._raw_count - 1) * RATE_HZ / self._hz)) + 1
        points = np.arange(self._count, max(end, self._count))
        position = points * (self._hz / RATE_HZ)
        below = np.minimum(np.floor(position).astype(np.intp), self._raw_count - 1)
        fraction = position - below
        left, right = below - first, np.minimum(below + 1, self._raw_count - 1) - first
        self._count += len(points)
        self._last, self._last_valid = signal[:, -1].copy(), is_finite[:, -1].copy()
        value = known[:, left] + (known[:, right] - known[:, left]) * fraction
        return value, known_valid[:, left] & known_valid[:, right]
