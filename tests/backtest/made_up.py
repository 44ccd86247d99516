"""Made-up leads with normal and ventricular beats, as WFDB records on disk."""

from __future__ import annotations

import numpy as np

from tests.recordings import files

HZ = 250.0
LEARNED = "N" * 200  # 160 s: more than the 120 s that a profile needs at least
CODES = {"N": 1, "V": 5}  # of WFDB
NARROW = ((-0.16, 0.15, 0.014), (0.0, 1.2, 0.012), (0.03, -0.25, 0.012), (0.27, 0.3, 0.035))  # seconds, mV, seconds
WIDE = ((0.02, 1.6, 0.035), (0.22, -0.7, 0.045))


def lead(kinds, seed=0, noise=0.01):
    """Samples in mV of a lead with these beats, `V` early and wide, and the seconds of their R peaks."""
    peaks = 0.8 + np.cumsum([0.5 if kind == "V" else 0.8 for kind in kinds])
    time = np.arange(int((peaks[-1] + 0.8) * HZ)) / HZ
    signal = np.random.default_rng(seed).normal(0, noise, len(time))
    for kind, peak in zip(kinds, peaks, strict=True):
        near = slice(int((peak - 0.4) * HZ), int((peak + 0.6) * HZ))
        for centre, height, width in WIDE if kind == "V" else NARROW:
            signal[near] += height * np.exp(-0.5 * ((time[near] - peak - centre) / width) ** 2)
    return signal, peaks


def write(folder, name, kinds, *, annotated=True, seed=0):
    """A WFDB record of one lead II with these beats; returns its header and the seconds of the R peaks."""
    signal, peaks = lead(kinds, seed)
    head = f"{name} 1 {HZ:g} {len(signal)}\n{name}.dat 16 1000/mV 16 0 0 0 0 II\n"
    path = files.write_wfdb(folder, name, head, 1000 * signal[:, None])
    if annotated:
        marks = [(round(HZ * peak), CODES[kind], "") for kind, peak in zip(kinds, peaks, strict=True)]
        files.write_annotations(path.with_suffix(".atr"), *marks)
    return path, peaks
