"""One line on standard error that says how far a command is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from monitor.terminal import printable

TERMINAL_SECONDS = 0.2
FILE_SECONDS = 10.0


class StatusLine:
    """On a terminal the line is written over the last one. Elsewhere it is a line of its own, every FILE_SECONDS."""

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._now = stream or sys.stderr, now
        self._is_terminal = self._stream.isatty()
        self._shown = now()
        self._width = 0  # of the line that will be written over

    def show(self, text: Callable[[], str]) -> None:
        """Write the line, if the last one is old enough; only then it is asked for."""
        now = self._now()
        if now - self._shown < (TERMINAL_SECONDS if self._is_terminal else FILE_SECONDS):
            return
        self._shown = now
        if self._is_terminal:
            self._overwrite(text())
        else:
            self.say(text())

    def say(self, text: str) -> None:
        """Write a line that stays."""
        if self._is_terminal:
            self._overwrite(text)
        self._stream.write("\n" if self._is_terminal else f"{printable(text)}\n")
        self._stream.flush()
        self._width = 0

    def _overwrite(self, text: str) -> None:
        text = printable(text)
        self._stream.write(f"\r{text:{self._width}}")
        self._stream.flush()
        self._width = len(text)


def clock_text(seconds: float) -> str:
    """A duration as hours, minutes and seconds: 00:12:30."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def time_text(time_ms: int) -> str:
    """A time in ms since the epoch, for people: 2026-11-24T10:00:00Z."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
