"""Alarms of a recording beside its annotations, which the monitor does not read. Counted as `backtest` counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.backtest import count, total, truth_of
from monitor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.backtest import Counted, PlayedEpisode
    from monitor.recordings import Annotations

LEARNING_SECONDS: float = Settings.model_fields["profile_seconds"].default  # these do not count
HEADS = ("record", "hours", "runs", "found", "alarms", "false", "but for changes", "in false alarm")


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """One recording, or several."""

    name: str
    counted: Counted

    def cells(self) -> tuple[str, ...]:
        """A row of the table, under HEADS."""
        one = self.counted
        counts = (one.runs, one.found, one.episodes, one.false, one.false_unchanged)
        share = one.false_seconds / (3600 * one.hours) if one.hours else 0.0
        return (self.name, f"{one.hours:.1f}", *(f"{number:,}" for number in counts), f"{share:.0%}")


def compare(name: str, seconds: float, annotations: Annotations, alarms: Sequence[PlayedEpisode]) -> RecordComparison:
    """Count runs and alarms of a recording of so many seconds, after LEARNING_SECONDS."""
    return RecordComparison(name, count(truth_of(annotations, seconds), alarms, LEARNING_SECONDS))


def table(rows: Sequence[RecordComparison]) -> str:
    """A plain table with a last row for all recordings together."""
    every = RecordComparison(f"all {len(rows)}", total([one.counted for one in rows]))
    lines = [HEADS, *(one.cells() for one in (*rows, every))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)
