"""What every contender is given, and how its work is measured: the same for all of them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from monitor.settings import Settings

SESSION_TIMEOUT_MS = 6000


def fresh_prefix() -> str:
    return f"bench-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Case:
    """Topics that hold the beats, a group of its own, and when to stop."""

    address: str
    prefix: str  # of the topics' names
    group: str
    model: str
    beats: int  # to judge at most
    seconds: float  # from the first beats on, at most
    partitions: int = 4
    form: str = "float32"
    options: dict[str, str | float] = field(default_factory=dict)  # the contender's own

    @classmethod
    def from_json(cls, text: str) -> Case:
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def again(self, name: str, count: int) -> Case:
        """The same for another run, which begins at the beginning."""
        return replace(self, group=f"{self.prefix}.{name}-{count}")

    @property
    def beats_topic(self) -> str:
        return f"{self.prefix}.beats"

    @property
    def alerts_topic(self) -> str:
        return f"{self.prefix}.alerts"

    def settings(self, **overrides: object) -> Settings:
        """The monitor's, with nothing changed but names and what the case is about."""
        names = {
            f"{topic.replace('-', '_')}_topic": f"{self.prefix}.{topic}"
            for topic in ("beats", "alerts", "scores", "dead-letters", "control")
        }
        own = {"bootstrap_servers": self.address, "group_id": self.group, "session_timeout_ms": SESSION_TIMEOUT_MS}
        return Settings(**(own | names | {"model": Path(self.model), "instance": self.group} | overrides))


@dataclass(frozen=True, slots=True)
class Result:
    """What a contender did between its first batch and its last."""

    beats: int
    seconds: float
    cpu_seconds: float
    abnormal: int  # of all beats, those of the first batch included
    judged: int

    @property
    def rate(self) -> float:
        return self.beats / self.seconds

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu_seconds / self.beats


class Meter:
    """Counts from the end of the first batch to the end of the last: no start-up, no joining of a group in it."""

    def __init__(self, case: Case, on_over: Callable[[Result], None]) -> None:
        self._limit, self._seconds, self._on_over = case.beats, case.seconds, on_over
        self._beats = self._abnormal = self._first = 0
        self._began = self._cpu = 0.0

    def note(self, beats: int, abnormal: int) -> None:
        """A batch is judged and its alerts are on their way. Calls `on_over` after the last one."""
        if not beats:
            return
        self._beats += beats
        self._abnormal += abnormal
        now = time.perf_counter()
        if not self._began:
            self._began, self._cpu, self._first = now, time.process_time(), self._beats
        elif self._beats >= self._limit or now - self._began >= self._seconds:
            counted, seconds = self._beats - self._first, now - self._began
            cpu = time.process_time() - self._cpu
            self._on_over(Result(counted, seconds, cpu, self._abnormal, self._beats))
