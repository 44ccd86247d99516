"""The rule `run`: three beats in a row that are not like their source open an episode.

Beats of a source with a profile have a score. A beat is *strong* when it and the two before it all score above
`least` and on average above `mean`. It is *weak* when the three score above `weak_least` and on average above `mean`,
and the same held at the three beats before. Strong and weak beats are flagged. An episode opens on a flagged beat and
closes after five others. When it opens again within 120 s it is the same episode. `run_columns` has the computation;
`tests/alarms/run_beat_by_beat.py` does the same for one source, beat by beat. Constants: measured on MIT-BIH 100 to
124, see docs/experiments.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Sensitivity = Literal["quiet", "normal", "sensitive"]
Priority = Literal["low", "medium", "high"]
PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high")
LEAST_SCORE: dict[Sensitivity, float] = {"quiet": 3.4, "normal": 2.6, "sensitive": 1.8}
LOWEST = -10.0  # in place of a score that neither strong nor weak beats have
STRONG_BEATS, WEAK_BEATS = 3, 6  # in a row, the flagged one included
WEAK_TRIPLES = WEAK_BEATS - STRONG_BEATS + 1  # of beats one after the other, in a row: they make a beat weak
FAST_MS, VERY_FAST_MS = 600, 400  # RR of 100 and of 150 beats a minute
LONG_RUN = 5  # flagged beats in a row
MERGE_MS = 120_000


@dataclass(frozen=True, slots=True)
class RunRule:
    """When beats are flagged."""

    least: float = LEAST_SCORE["normal"]  # of each of three strong beats
    mean: float = 3.6  # of three strong or weak beats
    weak_least: float = 1.4  # of each of six weak beats

    @classmethod
    def of(cls, sensitivity: Sensitivity) -> RunRule:
        """The rule with this sensitivity."""
        return cls(least=LEAST_SCORE[sensitivity])
