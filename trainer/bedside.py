"""What a rate of false flags means at the bedside: at 75 beats a minute, errors taken as independent.

Real errors cluster, so more of them fall together than here: a best case.
"""

from __future__ import annotations

import numpy as np

BEATS_PER_HOUR = 75 * 60
FLAGGED, WINDOW, CLOSE = 3, 5, 5  # the monitor's default rule


def flags_per_hour(rate: float) -> float:
    return BEATS_PER_HOUR * rate


def episodes_per_hour(rate: float) -> float:
    """Episodes that open in an hour of one source when normal beats are flagged at a rate, each for itself.

    The five normal beats that close an episode also empty the window of five: from there all begins anew, so that one
    episode comes every (beats until it opens) + (beats until it closes).
    """
    if not 0 < rate < 1:
        return 0.0
    kept = (1 - rate) ** CLOSE
    return BEATS_PER_HOUR / (_beats_to_open(rate) + (1 - kept) / (rate * kept))


def _beats_to_open(rate: float) -> float:
    """Expected beats from an empty window until FLAGGED of the last WINDOW are flagged."""
    states = 1 << (WINDOW - 1)  # of all beats in the window but the oldest
    step = np.zeros((states, states))
    for state in range(states):
        step[state, state << 1 & states - 1] += 1 - rate
        if state.bit_count() + 1 < FLAGGED:
            step[state, (state << 1 | 1) & states - 1] += rate
    return float(np.linalg.solve(np.eye(states) - step, np.ones(states))[0])
