"""Beats that stand in a file more than once: the same beat again, a near copy of it, or a window that overlaps.

A beat that is repeated is no new evidence. It must not set a threshold several times, nor be learnt from and then be
scored as if it were new: 100 beats that each stood five times gave 10 to 18 % false alarms where 5 % were promised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from monitor.beats.beat import SAMPLES
from monitor.model import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Root mean square difference of two beats, in their standard deviations, below which one is a copy of the other that
# was rounded or rescaled. The nearest two of 5000 beats of ECG5000 are 0.057 apart, those of MIT-BIH's records 0.024.
NEAR = 0.01
NEIGHBOURS = 8  # looked at for each beat at a time
HEAD = 16  # samples of one window that are looked for in the others
LEAST_OVERLAP = SAMPLES // 2  # samples that two windows of one recording share; at 183 beats a minute, R to R


def originals(samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each beat (n, 140) the row (n,) of the earlier beat that it repeats, or its own row.

    An overlapping window is known only by samples that are equal, so not where each window was scaled by itself.
    """
    found = np.arange(len(samples))
    if not len(samples):
        return found
    for look in (_same, _near, _overlapping):
        kept = np.flatnonzero(found == np.arange(len(found)))
        found[kept] = kept[look(samples[kept])]
    while (found[found] != found).any():
        found = found[found]
    return found


def distinct(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the beats (n, 140) repeat no earlier one."""
    return np.asarray(originals(samples) == np.arange(len(samples)))


def _same(samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each beat the row of the first one with equal samples."""
    rows = np.ascontiguousarray(samples + np.float32(0))  # no difference between 0 and -0
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[group.reshape(-1)], np.int64)


def _near(samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each beat one that is as good as equal in shape, earlier if there is one; amplitudes may differ."""
    shapes = normalise.shapes(samples, pool=1).astype(np.float64)
    found, kept = np.arange(len(shapes)), np.arange(len(shapes))
    reach = NEAR * np.sqrt(shapes.shape[1])
    while True:
        tree = cKDTree(shapes[kept], balanced_tree=False)
        nearest = list(range(1, min(NEIGHBOURS, len(kept)) + 1))
        _, neighbours = tree.query(shapes[kept], nearest, distance_upper_bound=reach)
        earliest = np.minimum(neighbours.min(axis=1, initial=len(kept)), np.arange(len(kept)))
        is_copy = earliest < np.arange(len(kept))
        if not is_copy.any():
            return found
        found[kept[is_copy]] = kept[earliest[is_copy]]
        kept = kept[~is_copy]


def _overlapping(samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each window an earlier one of which it shares half or more, unless that one is left out itself."""
    found, pairs = np.arange(len(samples)), _pairs(samples)
    for late, early in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].tolist():
        if found[late] == late and found[early] == early:
            found[late] = early
    return found


def _pairs(samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """Pairs (k, 2) of windows that share half or more of their samples, in each the later row first."""
    heads = _sums(samples, 0)
    heads[np.ptp(samples[:, :HEAD], axis=1) == 0] = np.nan  # a straight line is found everywhere
    order = np.argsort(heads, kind="stable")
    pairs = [np.empty((0, 2), np.int64)]
    for shift in range(1, SAMPLES - LEAST_OVERLAP + 1):
        sums = _sums(samples, shift)
        place = np.minimum(np.searchsorted(heads[order], sums), len(order) - 1)
        before = np.flatnonzero(heads[order[place]] == sums)
        after = order[place[before]]
        equal = (samples[before, shift:] == samples[after, : SAMPLES - shift]).all(axis=1) & (before != after)
        pairs.append(np.sort(np.column_stack([before[equal], after[equal]]), axis=1)[:, ::-1])
    return np.concatenate(pairs)


def _sums(samples: NDArray[np.float32], start: int) -> NDArray[np.float64]:
    """A number (n,) for HEAD samples of each window from `start` on: equal for equal samples, added in one order."""
    total = np.zeros(len(samples))
    for place in range(HEAD):
        total += np.cos((place + 1.0) ** 2) * samples[:, start + place]
    return total
