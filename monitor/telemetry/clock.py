"""The sources of time. They are passed in, so that a test decides what time it is and no test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks and a pause; the defaults are those of this computer. All times are in seconds."""

    wall: Callable[[], float] = time.time  # since the epoch, for what people read; it may be set back
    monotonic: Callable[[], float] = time.monotonic  # never goes back, for durations
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()
