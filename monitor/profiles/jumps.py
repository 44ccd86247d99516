"""Record times that jump ahead: a source that was away for long learns again, one wrong time costs it two RR.

A *jump* is a beat more than `forget_ms` after its source's last one. If the beat after it does not go back, the source
begins to learn again there; else the time of the jump was wrong. That depends on the source's own beats alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import JUMPED

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gaps(
    sources: NDArray[np.void], row: NDArray[np.int64], elapsed: NDArray[np.float64], forget_ms: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """At which of n beats (n,) a source begins to learn again, and which are jumps.

    The beats of a source stand next to each other. The jumps are empty where there are none and no source's last beat
    was one. `elapsed`: seconds since the beat before.
    """
    is_gap, is_jump = np.zeros(len(row), np.bool_), 1000 * elapsed > forget_ms
    was_jump = sources["flags"][row] & JUMPED != 0
    if not (is_jump.any() or was_jump.any()):
        return is_gap, is_gap[:0]
    is_later = np.flatnonzero(np.diff(row) == 0) + 1  # not the first of its source in the batch
    was_jump[is_later] = is_jump[is_later - 1]
    return was_jump & (1000 * elapsed > -forget_ms / 2), is_jump


def note_jumps(sources: NDArray[np.void], row: NDArray[np.int64], is_jump: NDArray[np.bool_]) -> None:
    """Remember of which rows the last of these n beats (n,) is a jump."""
    last = np.flatnonzero(np.diff(row, append=-1) != 0)
    flags = sources["flags"]
    flags[row[last]] = flags[row[last]] & ~JUMPED | JUMPED * is_jump[last]


def latest(rows: NDArray[np.int64], old: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows (n,) of beats' sources at the end of a batch in which some began again.

    `old`, `new` (k,): the rows of observed beats before and after, in their order; NONE has no place.
    """
    final = np.arange(max(int(rows.max(initial=-1)), int(old.max(initial=-1))) + 2)
    final[-1] = -1  # of NONE, which is the last place
    final[old] = new
    return final[rows]
