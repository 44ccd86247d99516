"""The progress of long work on standard error: its phases by name, and the time that the present one will still take.

On a terminal one line is renewed. In a file or a pipe, where a log is read later, a phase has a line at its beginning
and at its end, and one every LOG_SECONDS in between.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tick = Callable[[str], None]  # called after each step with a few words on it

LOG_SECONDS, TERMINAL_SECONDS = 10.0, 0.2  # between two lines
LEAST_STEPS, LEAST_SECONDS = 2, 1.0  # after the first step, before an estimate is given
RENEW = "\r\x1b[K"  # to the beginning of the line, and clear it


@contextmanager
def phase(name: str, steps: int = 0, unit: str = "step") -> Iterator[Tick]:
    """Show a phase of so many steps; 0 if nobody knows. Gives a function to call after each step."""
    with shown(Phase(name, steps, unit), sys.stderr, time.monotonic) as tick:
        yield tick


@dataclass(frozen=True, slots=True)
class Phase:
    """The name of a phase, and its number of steps with the name of one."""

    name: str
    steps: int = 0
    unit: str = "step"

    def begun(self) -> str:
        """The line at the beginning."""
        return f"{self.name}: {count_of(self.steps, self.unit)}" if self.steps else self.name

    def after(self, done: int, left: float | None, words: str) -> str:
        """The line after so many steps, with the seconds that are left if they are known."""
        of_all = f"{done:,} of {count_of(self.steps, self.unit)}" if self.steps else count_of(done, self.unit)
        remaining = [] if left is None else [f"about {_clock(left)} left"]
        return ", ".join([f"{self.name}: {of_all}", *remaining, *filter(None, [words])])

    def ended(self, done: int, seconds: float) -> str:
        """The line at the end."""
        early = f"after {done:,} of {count_of(self.steps, self.unit)}, " if done < self.steps else ""
        return f"{self.name}: {early}done in {_clock(seconds)}"


def left(steps: int, done: int, seconds: float) -> float | None:
    """The seconds that remain after `done` of so many steps; `seconds` is the time since the first one was done.

    The first step also loads libraries, so it does not count: with it, 48 s of training were announced as 15 minutes.
    """
    if done <= LEAST_STEPS or seconds < LEAST_SECONDS or not steps:
        return None
    return (steps - done) * seconds / (done - 1)


@contextmanager
def shown(phase: Phase, stream: TextIO, clock: Callable[[], float]) -> Iterator[Tick]:
    """Show a phase on a stream, by a clock of seconds."""
    is_terminal = stream.isatty()
    pause = TERMINAL_SECONDS if is_terminal else LOG_SECONDS
    began = last = first = clock()
    done = 0

    def write(line: str, end: str = "\n") -> None:
        stream.write(f"{RENEW}{line}" if is_terminal else f"{line}{end}")
        stream.flush()

    def tick(words: str = "") -> None:
        nonlocal done, first, last
        done, now = done + 1, clock()
        first = now if done == 1 else first
        if now - last >= pause:
            last = now
            write(phase.after(done, left(phase.steps, done, now - first), words))

    write(phase.begun())
    try:
        yield tick
    finally:
        write(phase.ended(done, clock() - began))
        if is_terminal:
            stream.write("\n")


def _clock(seconds: float) -> str:
    """Minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
