"""A clock that a test sets by hand."""

from __future__ import annotations

from monitor.telemetry.clock import Clock


class ManualClock:
    """Time passes when the test says so, and when the code under test sleeps. `clock` is handed to that code."""

    def __init__(self, wall: float = 100.0) -> None:
        self.wall = wall
        self.monotonic = 1000.0
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic, self.advance)

    def advance(self, seconds: float) -> None:
        """Let both clocks go on."""
        self.wall += seconds
        self.monotonic += seconds
