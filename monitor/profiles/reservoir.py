"""The beats that a source keeps while it learns: a fixed number, chosen at random among all it had.

Each beat draws a number that depends only on how many came before it, and those with the smallest numbers are kept. So
the choice is even over the whole time, and the same in every run. A choice of every second beat would see only one half
of a bigeminy. Samples are kept as whole numbers of 8 bits, in steps of a 127th of the beat's largest one: with all else
a learning source takes 15 KB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import NONE, RESERVOIR

if TYPE_CHECKING:
    from numpy.typing import NDArray

FULL_SCALE = np.float32(127)


def draw(beat: NDArray[np.int64]) -> NDArray[np.uint32]:
    """A random number for each beat number: the finalizer of MurmurHash3 (Appleby, public domain)."""
    mixed = beat.astype(np.uint32) + np.uint32(0x9E3779B9)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def keep_some(
    learners: NDArray[np.void], rows: NDArray[np.int64], number: NDArray[np.int64], beats: NDArray[np.void]
) -> None:
    """Keep one beat (k,) of each of these rows, or drop it. `number`: how many beats the source had before.

    `beats` are records (k,) of `samples`, `q`, `noise_hf` and `noise_between`.
    """
    newest = learners["newest"][rows]
    has_newest = newest != NONE
    learners["q_after"][rows[has_newest], newest[has_newest]] = beats["q"][has_newest]
    held, order = learners["held"][rows], draw(number)
    is_full = held >= RESERVOIR
    worst = learners["order"][rows].argmax(axis=1)
    slot = np.where(is_full, worst, held)
    is_kept = ~is_full | (order < learners["order"][rows, worst])
    learners["newest"][rows] = np.where(is_kept, slot, NONE)
    learners["held"][rows] = np.minimum(held + 1, RESERVOIR)
    at = rows[is_kept], slot[is_kept]
    samples = beats["samples"][is_kept]
    step = np.maximum(np.abs(samples).max(axis=1, initial=0) / FULL_SCALE, np.finfo(np.float32).tiny)
    learners["shape"][at] = np.rint(samples / step[:, None]).astype(np.int8)
    learners["step"][at], learners["order"][at] = step, order[is_kept]
    learners["q_before"][at], learners["q_after"][at] = beats["q"][is_kept], np.nan
    learners["noise_hf"][at], learners["noise_between"][at] = (
        beats["noise_hf"][is_kept],
        beats["noise_between"][is_kept],
    )
