"""A time limit for loops that wait for something."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Deadline:
    """A deadline `seconds` from now. Waiting longer raises an error that names what was waited for."""

    seconds: float
    what: str
    began: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> float:
        return time.monotonic() - self.began

    @property
    def is_over(self) -> bool:
        return self.passed > self.seconds

    def wait(self, seconds: float) -> None:
        """Sleep briefly. Raises TimeoutError after the deadline."""
        if self.is_over:
            raise TimeoutError(f"not within {self.seconds:g} s: {self.what}")
        time.sleep(seconds)
