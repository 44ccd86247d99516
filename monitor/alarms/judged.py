"""Beats with their verdicts, and the outcome of one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from monitor.alarms.rule import Event
    from monitor.beats.beat import Beats
    from monitor.records.record import Checkpoint


@dataclass(frozen=True, slots=True)
class JudgedBeats:
    """n beats with the verdict on each, as columns (n,)."""

    beats: Beats
    score: NDArray[np.float32]  # NaN where the beat could not be scored
    p_value: NDArray[np.float64]
    threshold: NDArray[np.float64]  # the one that each score was compared with
    abnormal: NDArray[np.bool_]
    cause: tuple[str, ...]  # names of the values of `cause_code`, 0 = scored
    cause_code: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one batch, kept until it is delivered."""

    checkpoint: Checkpoint
    judged: JudgedBeats
    events: list[Event]
    reasons: tuple[str, ...]  # why records were refused, one for each
    shed: int  # records left out because they were older than MONITOR_MAX_AGE_SECONDS
    began: float  # when its records had come, seconds of a monotonic clock
