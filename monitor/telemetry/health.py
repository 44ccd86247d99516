"""The verdicts of `/healthz` and `/readyz`: whether the monitor is alive, and whether it would raise an alarm now.

Alive means that the loop takes steps, and that no partition with lag stands still. An unavailable broker does not make
the monitor dead: restarting every monitor would not bring the broker back. Ready means that a beat read now would
raise its alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

HUNG_SECONDS = 120.0  # one step waits for the broker for about 20 s at most
STUCK_SECONDS = 60.0


@dataclass(slots=True)
class Health:
    """Facts that the recorder writes and the HTTP threads read. Each write is one assignment, so no lock is needed.

    All times are seconds of the monotonic clock.
    """

    last_step: float  # when the loop began its last step; when the monitor started, before its first one
    started: bool = False  # the model is loaded, the topics exist, the member has asked to join its group
    joined: bool = False  # this member belongs to its group
    completing: bool = False  # beats are read again to complete profiles, and newer ones wait for that
    obstacle: str = ""  # what would keep an alarm from leaving although the broker answers
    broker_failure: str = ""  # why the broker is unavailable; empty while it answers
    last_progress: dict[int, float] = field(default_factory=dict)  # partition -> when it last moved on or had no lag

    def record_progress(self, lag: Mapping[int, int], progressed: Collection[int], now: float) -> None:
        """Record which assigned partitions moved on.

        `lag` has the records that wait in each assigned partition, `progressed` the partitions of which a step was
        delivered. While the broker is unavailable no partition counts as stuck.
        """
        excused = lag.keys() if self.broker_failure else progressed
        self.last_progress = {
            partition: now if waiting == 0 or partition in excused else self.last_progress.get(partition, now)
            for partition, waiting in lag.items()
        }

    def live(self, now: float) -> dict[str, str]:
        """Problems that a restart may fix, by the part that has them. Empty: the monitor is alive."""
        problems = {}
        if now - self.last_step > HUNG_SECONDS:
            problems["loop"] = f"has not taken a step for {now - self.last_step:.0f} s"
        for partition, since in self.last_progress.items():
            if now - since > STUCK_SECONDS:
                problems[f"partition {partition}"] = f"has lag and stands still for {now - since:.0f} s"
        return problems

    def ready(self, now: float) -> dict[str, str]:
        """Problems that keep a beat from raising its alarm, by the part that has them. Empty: the monitor is ready."""
        problems = self.live(now)
        if not self.started:
            problems["start"] = "not finished: the model, the broker and the topics come first"
        elif self.broker_failure:
            problems["broker"] = self.broker_failure
        elif self.obstacle:
            problems["rights"] = self.obstacle
        elif not self.joined:
            problems["group"] = "this member has not joined yet"
        elif self.completing:
            problems["profiles"] = "beats are being read again to complete them: newer ones wait for that"
        return problems
