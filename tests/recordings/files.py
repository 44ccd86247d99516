"""Writes small recordings for the tests."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import edfio
import numpy as np

from monitor.recordings.library import imported

HZ = 250


def wave(seconds: float = 4.0, hz: float = HZ) -> np.ndarray:
    """A lead in mV, in steps of 0.005 mV."""
    return np.round(np.sin(2 * np.pi * 1.2 * np.arange(int(seconds * hz)) / hz) * 200) / 200


def write_wfdb(folder: Path, name: str = "100", lines: str | None = None, counts: np.ndarray | None = None) -> Path:
    """A record in format 16, by default with the leads MLII (mV) and V5 (uV) of `wave`. `counts`: (frames, samples)."""
    if counts is None:
        counts = np.stack([wave() * 200, wave() * 100], axis=1)
    head = f"{name} 2 {HZ} {len(counts)}\n{name}.dat 16 200/mV 16 0 0 0 0 MLII\n{name}.dat 16 0.1/uV 16 0 0 0 0 V5\n"
    path = folder / f"{name}.hea"
    path.write_text(head if lines is None else lines)
    np.rint(counts).astype("<i2").tofile(folder / f"{name}.dat")
    return path


def write_flac(folder: Path, signal: np.ndarray, name: str = "100") -> Path:
    """A record of one lead II (mV) whose signal file is compressed: FLAC, which WFDB calls format 516."""
    path, counts = folder / f"{name}.hea", np.rint(1000 * signal).astype(np.int16)
    path.write_text(f"{name} 1 {HZ} {len(counts)}\n{name}.dat 516 1000/mV 16 0 0 0 0 II\n")
    imported(path, "soundfile").write(folder / f"{name}.dat", counts, HZ, format="FLAC", subtype="PCM_16")
    return path


def flip(path: Path, share: float) -> None:
    """Damage a byte of a file, this share of its length behind its start."""
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x55
    path.write_bytes(content)


def write_annotations(path: Path, *annotations: tuple[int, int, str]) -> None:
    """Annotations at sample numbers, with the code of WFDB and a note."""
    words, last = [], 0
    for sample, code, note in annotations:
        words += [np.array([code << 10 | sample - last], "<u2").tobytes()]
        if note:
            words += [np.array([63 << 10 | len(note)], "<u2").tobytes(), note.encode() + b"\0" * (len(note) % 2)]
        last = sample
    path.write_bytes(b"".join(words) + b"\0\0")


def edf(**changes: object) -> edfio.Edf:
    """An EDF+ file of 4 s: ECG II (250 Hz, mV) and V5 (125 Hz, uV)."""
    options = {
        "recording": edfio.Recording(startdate=date(2026, 11, 30)),
        "annotations": [edfio.EdfAnnotation(1.5, None, "V"), edfio.EdfAnnotation(0.5, None, "(AFIB")],
    }
    signals = [
        edfio.EdfSignal(wave(), HZ, label="ECG II", physical_dimension="mV", physical_range=(-5, 5)),
        edfio.EdfSignal(
            1000 * wave(hz=HZ / 2), HZ / 2, label="V5", physical_dimension="uV", physical_range=(-5000, 5000)
        ),
    ]
    return edfio.Edf(signals, data_record_duration=1, **options | changes)
