"""Takes records through the pipeline of the daemon, step by step, and keeps what the steps say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.alarms import episode_state
from monitor.pipeline.step import Pipeline
from monitor.records.record import Assigned
from monitor.telemetry.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.pipeline.parsed import Parsed
    from monitor.pipeline.step import Judges, Step
    from monitor.records.record import Records
    from monitor.settings import Settings


class Review:
    """Judges records like a monitor that has just begun: no episode is open, and every source learns its profile.

    As in the loop, another thread scores the beats that were read last.
    """

    def __init__(self, parts: Judges, settings: Settings, model_id: str, count: Callable[[Step], None]) -> None:
        """`count` is called with each step, in order."""
        changes = {"max_age_seconds": None, "scores": False, "latch_high": False}  # nobody acknowledges here
        settings = settings.model_copy(update=changes)
        self._pipeline = Pipeline(parts, settings, model_id, SYSTEM_CLOCK)
        self._waiting: Parsed | None = None
        self._count = count

    def begin(self, offsets: Mapping[int, int]) -> None:
        """Read partitions from these offsets on."""
        for partition, offset in offsets.items():
            assigned = Assigned(offset, None, {}, atomic=True)
            self._pipeline.assign(partition, assigned, episode_state.restore(assigned))

    def feed(self, records: Records) -> None:
        """Judge the records of the last call while those of this one are scored."""
        parsed = self._pipeline.start_scoring(self._pipeline.parse(records))
        self.end()
        self._waiting = parsed

    def end(self) -> None:
        """Judge what was fed last."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._count(self._pipeline.finish(waiting))
