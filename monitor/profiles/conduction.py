"""Changed conduction: a new form of beat that lasts becomes a further template of its source.

A *candidate* is the mean of beats that fit no template, agree with one another, and come in the usual time. It becomes
a template after 24 such beats over 120 s within 10 minutes, if the P wave before them is the one of the first template:
then the beats still begin where they began, and only the way through the heart has changed. Measured on MIT-BIH
100 to 124, docs/experiments.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import CANDIDATE, LEAST_SCALE, TEMPLATE
from monitor.profiles.learning import FITS, FITS_CORRELATION, floored
from monitor.profiles.points import P_WAVE, column_sums, levelled
from monitor.profiles.residual import Residuals, compare, unmoved

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_BEATS, LEAST_MS, MOST_MS = 24, 120_000, 600_000
MOST_MISSES = 12  # beats that fit neither, before a candidate with fewer beats than that is replaced
SPREAD = np.float32(0.2)  # of a candidate: its beats show theirs only when it is complete
P_WAVE_CORRELATION = 0.5
NORMAL_SIZE = np.float32(1.2533)


def new_candidates(samples: NDArray[np.float32], time_ms: NDArray[np.int64]) -> NDArray[np.void]:
    """Candidates (n,) that begin with beats (n, 140)."""
    points = unmoved(samples)
    new = np.zeros(len(samples), CANDIDATE)
    new["typical"] = points.T
    new["scale"] = np.maximum(np.sqrt(column_sums(points * points) / len(points)), LEAST_SCALE)
    new["sizes"] = SPREAD
    new["beats"], new["first_ms"], new["last_ms"] = 1, time_ms, time_ms
    return new


def followed(
    candidates: NDArray[np.void], samples: NDArray[np.float32], time_ms: NDArray[np.int64]
) -> NDArray[np.void]:
    """The candidates (n,) after one more beat each, that fits no template and came in the usual time."""
    probes = np.zeros(len(candidates), TEMPLATE)
    probes["typical"], probes["scale"], probes["spread"] = candidates["typical"], candidates["scale"], SPREAD
    found = compare(samples, probes)
    agrees = (found.distance < FITS) & (found.correlation > FITS_CORRELATION)
    after = candidates.copy()
    after["misses"] += ~agrees
    _average(after, found, agrees)
    after["last_ms"][agrees] = time_ms[agrees]
    is_old = time_ms - candidates["first_ms"] > MOST_MS
    is_lonely = (after["misses"] > MOST_MISSES) & (after["misses"] > after["beats"])
    begins = is_old | is_lonely
    if begins.any():
        after[begins] = new_candidates(samples[begins], time_ms[begins])
    return after


def _average(candidates: NDArray[np.void], found: Residuals, agrees: NDArray[np.bool_]) -> None:
    """Take the beats that agree into the means."""
    some, found = candidates[agrees], found.select(agrees)
    some["beats"] += 1
    share = np.float32(1) / some["beats"].astype(np.float32)
    beat = some["typical"].T * found.gain + some["scale"] * found.rest
    some["typical"] = (some["typical"].T + share * (beat - some["typical"].T)).T
    some["sizes"] = (some["sizes"].T + share * (np.abs(found.smooth) - some["sizes"].T)).T
    candidates[agrees] = some


def as_templates(candidates: NDArray[np.void]) -> NDArray[np.void]:
    """Templates (n,) of candidates (n,) that are complete."""
    templates = np.zeros(len(candidates), TEMPLATE)
    templates["typical"] = levelled(np.ascontiguousarray(candidates["typical"].T)).T
    templates["spread"] = floored(NORMAL_SIZE * candidates["sizes"])
    templates["scale"] = candidates["scale"]
    return templates


def is_complete(candidates: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which candidates (n,) have enough beats over a long enough time."""
    lasted: NDArray[np.int64] = candidates["last_ms"] - candidates["first_ms"]
    complete: NDArray[np.bool_] = candidates["beats"] >= LEAST_BEATS
    return complete & (lasted >= LEAST_MS) & (lasted <= MOST_MS)


def keeps_p_wave(candidate: NDArray[np.float32], typical: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether candidates (n, 60) have the P waves of templates (n, 60)."""
    parts = []
    for beat in (candidate, typical):
        part = beat[:, P_WAVE].astype(np.float64)
        line = np.linspace(-1, 1, part.shape[1])
        part = part - part.mean(axis=1, keepdims=True)
        parts.append(part - np.outer(part @ line / (line @ line), line))
    new, old = parts
    both, squares = (new * old).sum(axis=1), (new * new).sum(axis=1) * (old * old).sum(axis=1)
    kept: NDArray[np.bool_] = both > P_WAVE_CORRELATION * np.sqrt(squares)
    return kept
