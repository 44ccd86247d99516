"""The technical cause of each beat: why it cannot be judged, or what to know about its lead.

Beats with one of the first causes, and leads that the model does not know, have no physiological verdict: the state of
the source is frozen. The other causes only mark. One beat counts for one cause, the first of the list that holds:
`clock`, a record time too far ahead of the partition's others, comes last, see `monitor.alarms.episodes`. `no-signal`
is of no beat: see `monitor.alarms.no_signal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.recent.source_order import SourceOrder
from monitor.model.scorer import CAUSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.profiles import Notice

# Index: the code.
TECHNICAL_CAUSES = ("", *CAUSES, "model-does-not-fit", "noisy", "sick-while-learning", "clock", "no-signal")
DOES_NOT_FIT, NOISY, SICK_WHILE_LEARNING, CLOCK, NO_SIGNAL = range(len(CAUSES) + 1, len(TECHNICAL_CAUSES))
ANNOUNCED_BEATS = 60  # some minute: long enough to be seen, and a flat line later is an episode of its own


@dataclass(frozen=True, slots=True)
class LeadSigns:
    """What is said of n beats, as columns (n,)."""

    unscorable: NDArray[np.int8]  # the scorer's cause, 0 = scored
    is_misfit: NDArray[np.bool_]  # judged by a model that does not know the lead
    is_noisy: NDArray[np.bool_]
    is_sick: NDArray[np.bool_]  # its source has just learned, and was sick while it did


def technical_causes(signs: LeadSigns) -> NDArray[np.int8]:
    """The code of the cause of each beat (n,), 0 = none; an index into TECHNICAL_CAUSES."""
    marked = np.where(signs.is_sick, SICK_WHILE_LEARNING, 0)
    marked = np.where(signs.is_noisy, NOISY, marked)
    marked = np.where(signs.is_misfit, DOES_NOT_FIT, marked)
    return np.where(signs.unscorable, signs.unscorable, marked).astype(np.int8)


def freezes(cause: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which causes (n,) leave the physiological state of their source as it is."""
    return (cause > 0) & (cause <= DOES_NOT_FIT)


def sick(
    carry: NDArray[np.int8], source: NDArray[np.integer], notices: Sequence[Notice]
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """Which of n beats (n,) announce that their source was sick while it learned: the first ANNOUNCED_BEATS after that.

    `notices`: of `monitor.profiles.Scored` of these beats. `carry` (k,): how many beats are still to announce it.
    """
    sources = SourceOrder.of(source, len(carry))
    is_noticed = np.zeros(len(source), np.bool_)
    is_noticed[[one.beat for one in notices if one.kind == "sick-while-learning"]] = True
    # number of the last beat that announces it, in the batch and by source; each source has its own range of numbers
    reach = len(source) + ANNOUNCED_BEATS
    until = np.where(is_noticed[sources.beat], sources.rank + ANNOUNCED_BEATS, carry[sources.source] - 1)
    until = np.maximum.accumulate(sources.source * (reach + 2) + until + 1) - sources.source * (reach + 2) - 1
    announces = (sources.rank <= until) & ~is_noticed[sources.beat]
    left = np.maximum(until - sources.rank, 0).astype(np.int8)
    return sources.back(announces), sources.last(left, carry)
