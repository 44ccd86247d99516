"""Recordings for tests: WFDB records of made-up people, with annotations or without."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

HZ = 250
SECONDS_PER_BEAT = 0.8
COUNTS_PER_MV = 1000
CODES = {"N": 1, "V": 5}  # of annotation files
SKIP = 59


def write(  # noqa: PLR0913 - a recording has so many properties
    folder: Path, name: str, *, seconds: int = 60, ventricular: int = 8, annotated: bool = True,
    leads: tuple[str, ...] = ("MLII", "V5"), width: float = 1.0,
) -> None:  # fmt: skip
    """A record whose every `ventricular`-th beat is wide and upside down (0: none); `width` makes the person."""
    at = np.arange(2.0, seconds - 2, SECONDS_PER_BEAT)
    is_v = np.arange(len(at)) % ventricular == ventricular // 2 if ventricular else np.zeros(len(at), bool)
    time = np.arange(seconds * HZ) / HZ
    signal = np.random.default_rng(len(name) + int(100 * width)).normal(0, 0.01, len(time))
    for when, wide in zip(at, is_v, strict=True):
        signal += _bump(time, when, 0.045, -1.5) if wide else _bump(time, when, 0.012 * width, 1.0)
        signal += _bump(time, when + 0.25, 0.05, 0.25 * width)
    write_signals(folder, name, np.column_stack([signal * (1 - 0.3 * number) for number in range(len(leads))]), leads)
    if annotated:
        annotate(folder, name, (at * HZ).astype(int), np.where(is_v, "V", "N"))


def write_signals(folder: Path, name: str, signals: np.ndarray, leads: tuple[str, ...]) -> None:
    """A record of signals (n, leads) in mV."""
    lines = [f"{name} {len(leads)} {HZ} {len(signals)}"]
    lines += [f"{name}.dat 16 {COUNTS_PER_MV}/mV 16 0 0 0 0 {lead}" for lead in leads]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.dat").write_bytes((signals * COUNTS_PER_MV).astype("<i2").tobytes())


def annotate(folder: Path, name: str, samples: np.ndarray, symbols: np.ndarray) -> None:
    """Annotated beats of a record, at ascending samples."""
    words = b""
    for step, symbol in zip(np.diff(samples, prepend=0).tolist(), symbols, strict=True):
        words += struct.pack("<HHHH", SKIP << 10, step >> 16, step & 0xFFFF, CODES[symbol] << 10)
    (folder / f"{name}.atr").write_bytes(words + bytes(2))


def _bump(time: np.ndarray, when: float, width: float, height: float) -> np.ndarray:
    return height * np.exp(-0.5 * ((time - when) / width) ** 2)
