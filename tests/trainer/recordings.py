"""Recordings for tests: WFDB records of made-up people, with annotations or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import wfdb

if TYPE_CHECKING:
    from pathlib import Path

HZ = 250
SECONDS_PER_BEAT = 0.8


def write(  # noqa: PLR0913 - a recording has so many properties
    folder: Path, name: str, *, seconds: int = 60, ventricular: int = 8, annotated: bool = True,
    leads: tuple[str, ...] = ("MLII", "V5"), width: float = 1.0,
) -> None:  # fmt: skip
    """A record whose every `ventricular`-th beat is wide and upside down (0: none); `width` makes the person."""
    at = np.arange(2.0, seconds - 2, SECONDS_PER_BEAT)
    is_v = np.arange(len(at)) % ventricular == 5 if ventricular else np.zeros(len(at), bool)
    time = np.arange(seconds * HZ) / HZ
    signal = np.random.default_rng(len(name) + int(100 * width)).normal(0, 0.01, len(time))
    for when, wide in zip(at, is_v, strict=True):
        signal += _bump(time, when, 0.045, -1.5) if wide else _bump(time, when, 0.012 * width, 1.0)
        signal += _bump(time, when + 0.25, 0.05, 0.25 * width)
    both = np.column_stack([signal * (1 - 0.3 * number) for number in range(len(leads))])
    wfdb.wrsamp(
        name, fs=HZ, units=["mV"] * len(leads), sig_name=list(leads), p_signal=both, fmt=["16"] * len(leads),
        write_dir=str(folder),
    )  # fmt: skip
    if annotated:
        wfdb.wrann(name, "atr", (at * HZ).astype(int), list(np.where(is_v, "V", "N")), write_dir=str(folder))


def _bump(time: np.ndarray, when: float, width: float, height: float) -> np.ndarray:
    return height * np.exp(-0.5 * ((time - when) / width) ** 2)
