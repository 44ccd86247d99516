"""What a share of wrongly flagged beats means on a ward: flagged beats and false alarms per patient and hour.

The monitor raises an alarm when 3 of the last 5 beats are flagged, and closes it after 5 beats in a row that are not.
These are its default episode rule. Each normal beat is taken to be flagged with the same probability, independently of
the others. Real errors come in clusters, so the real number of alarms differs. For people whom a model does not know
this would be far off, so that only what was measured on people is said of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.threshold.conformal import FOR_PEOPLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.model.manifest import ThresholdSpec

BEATS_PER_MINUTE = 75
BEATS_PER_HOUR = 60 * BEATS_PER_MINUTE
OPEN, WINDOW, CLOSE = 3, 5, 5  # the monitor's default episode rule: OPEN of WINDOW beats open, CLOSE normal ones close


def sentence(threshold: ThresholdSpec) -> str:
    """What the threshold costs in false alarms: at most, if it keeps a budget; else as on the training beats."""
    rate = threshold.false_alarm_rate
    if threshold.rule.startswith(FOR_PEOPLE):
        return (
            f"At {BEATS_PER_MINUTE} beats/min {rate:.1%} are {rate * BEATS_PER_HOUR:.0f} wrongly flagged beats per "
            "hour. How many alarms these make cannot be said: the beats of one person are not independent."
        )
    if threshold.confidence:
        return f"At {BEATS_PER_MINUTE} beats/min this threshold allows up to {per_hour(rate)}, {_ASSUMPTION}."
    return (
        f"At {BEATS_PER_MINUTE} beats/min this threshold gives {per_hour(rate)} on beats like the normal training "
        f"beats, {_ASSUMPTION}."
    )


def measured(rate: float) -> str:
    """The same for a share of normal test beats that was flagged."""
    return (
        f"At {BEATS_PER_MINUTE} beats/min the {rate:.2%} of normal test beats that were flagged are {per_hour(rate)}, "
        f"{_ASSUMPTION}."
    )


def of_people(rates: Sequence[float]) -> str:
    """What was measured on people: the share of each one's normal beats that was flagged. Assumes nothing.

    An hour of alarms is not computed from it: a person of whom most beats are flagged has one alarm that does not end.
    """
    flagged = BEATS_PER_HOUR * np.array(rates)
    return (
        f"At {BEATS_PER_MINUTE} beats/min, of {BEATS_PER_HOUR:,} normal beats an hour {np.median(flagged):,.0f} are "
        f"flagged in the median person, {flagged.mean():,.0f} on average and {flagged.max():,.0f} in the worst: "
        f"measured on {len(flagged)} people, each by networks and a threshold of the others. Whoever has many is in "
        "alarm most of the time."
    )


_ASSUMPTION = f"assuming independent errors and alarms that open at {OPEN} flagged beats of {WINDOW}"


def per_hour(rate: float) -> str:
    """Flagged beats and false alarms in an hour, for a share of normal beats that is flagged."""
    return (
        f"{rate * BEATS_PER_HOUR:.0f} wrongly flagged beats and about {alarms_per_hour(rate):.2g} false alarms per "
        "patient per hour"
    )


def alarms_per_hour(rate: float) -> float:
    """Expected number of false alarms of one patient in an hour, if each normal beat is flagged with this probability.

    The mean time between alarms is the mean number of beats until one opens, plus the mean number until it closes.
    """
    if not 0 < rate < 1:
        return 0.0
    open_beats = ((1 - rate) ** -CLOSE - 1) / rate  # mean wait for CLOSE unflagged beats in a row
    return float(BEATS_PER_HOUR / (_beats_to_open(rate) + open_beats))


def _beats_to_open(rate: float) -> float:
    """Expected number of beats until an alarm opens, starting without flagged beats.

    A Markov chain over the states of the last WINDOW - 1 beats, each flagged or not; opening an alarm leaves it.
    """
    states = 2 ** (WINDOW - 1)
    step = np.zeros((states, states))
    for state in range(states):
        for flag, chance in ((0, 1 - rate), (1, rate)):
            recent = 2 * state + flag
            if recent.bit_count() < OPEN:
                step[state, recent % states] += chance
    return float(np.linalg.solve(np.eye(states) - step, np.ones(states))[0])
