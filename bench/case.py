"""The input of a contender and the measurement of its work, which are the same for all contenders."""

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
    """The topics with the beats, a consumer group, and the limits at which to stop."""

    address: str
    prefix: str  # of the topics' names
    group: str
    model: str
    beats: int  # to score at most
    seconds: float  # at most, from the first batch on
    partitions: int = 4
    form: str = "float32"
    options: dict[str, str | float] = field(default_factory=dict)  # of the contender

    @classmethod
    def from_json(cls, text: str) -> Case:
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def again(self, name: str, count: int) -> Case:
        """The same case with a new group, so that a run reads the topics from the beginning."""
        return replace(self, group=f"{self.prefix}.{name}-{count}")

    @property
    def beats_topic(self) -> str:
        return f"{self.prefix}.beats"

    @property
    def alerts_topic(self) -> str:
        return f"{self.prefix}.alerts"

    def settings(self, **overrides: object) -> Settings:
        """The monitor's default settings, with the case's names and `overrides`."""
        names = {
            f"{topic.replace('-', '_')}_topic": f"{self.prefix}.{topic}"
            for topic in ("beats", "alerts", "scores", "dead-letters", "control")
        }
        own = {"bootstrap_servers": self.address, "group_id": self.group, "session_timeout_ms": SESSION_TIMEOUT_MS}
        return Settings(**(own | names | {"model": Path(self.model), "instance": self.group} | overrides))


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The work of a contender between the end of its first batch and the end of its last."""

    beats: int
    seconds: float
    cpu_seconds: float
    abnormal: int  # of all beats, including the first batch
    judged: int

    @property
    def rate(self) -> float:
        return self.beats / self.seconds

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu_seconds / self.beats


class Meter:
    """Measures from the end of the first batch to the end of the last, so without start-up and joining the group."""

    def __init__(self, case: Case, on_over: Callable[[BenchResult], None]) -> None:
        self._limit, self._seconds, self._on_over = case.beats, case.seconds, on_over
        self._beats = self._abnormal = self._first = 0
        self._began = self._cpu = 0.0

    def note(self, beats: int, abnormal: int) -> None:
        """Count a batch that is scored and whose alerts are sent. Calls `on_over` after the last batch."""
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
            self._on_over(BenchResult(counted, seconds, cpu, self._abnormal, self._beats))
