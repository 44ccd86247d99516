"""SIGINT and SIGTERM as a request to end in order."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Self

Handler = Callable[[int, FrameType | None], object] | int | None


class StopRequest:
    """While its block runs the first signal is noted, and a second one raises KeyboardInterrupt at once.

    With `may_interrupt` the first one raises as well: for code that waits, and loses nothing by being interrupted.
    """

    def __init__(self) -> None:
        self.is_made = self.may_interrupt = False
        self._previous: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Self:
        for one in (signal.SIGINT, signal.SIGTERM):
            self._previous[one] = signal.signal(one, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._previous.items():
            signal.signal(one, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_made or self.may_interrupt:
            raise KeyboardInterrupt
        self.is_made = True
