"""The monitors of one consumer group. Each keeps its name over all the processes that are started for it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.chaos.cluster import steady_port
from tests.e2e.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from monitor.settings import Settings

CLOSE_SECONDS = 40.0
TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """What all members of a group have in common."""

    settings: Settings
    model: Path
    folder: Path  # for their logs
    variables: Mapping[str, str]  # further MONITOR_* settings of the members


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended without being asked to."""

    member: str
    code: int
    message: str  # at the end of its log


class Member:
    """A monitor with one MONITOR_INSTANCE, in all the processes that run it."""

    def __init__(self, name: str, group: GroupConfig) -> None:
        self.name = name
        self.state: Literal["away", "running", "frozen"] = "away"
        self.lives = 0
        self._group = group
        self._log = group.folder / f"{name}.log"
        self._daemon: Daemon | None = None

    @property
    def pid(self) -> int:
        return self.daemon.process.pid

    @property
    def daemon(self) -> Daemon:
        if self._daemon is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._daemon

    def start(self) -> None:
        port = steady_port()
        own = {"MONITOR_INSTANCE": self.name, "MONITOR_HTTP_PORT": str(port), "PYTHONFAULTHANDLER": "1"}
        daemon = Daemon(self._group.settings, self._group.model, self._log, **{**self._group.variables, **own})
        daemon.port = port
        self._daemon = daemon.__enter__()
        self.state = "running"
        self.lives += 1

    def is_ready(self) -> bool:
        return self.state == "running" and self.daemon.get("/readyz")[0] == 200

    def kill(self) -> None:
        self.daemon.process.kill()
        self._bury()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        self.state = "frozen"

    def thaw(self) -> None:
        if self.state == "frozen":
            os.kill(self.pid, signal.SIGCONT)
            self.state = "running"

    def ask_to_leave(self) -> None:
        """Send SIGTERM, without waiting for the process to end."""
        self.daemon.process.send_signal(signal.SIGTERM)
        self.state = "away"

    def leave(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.ask_to_leave()
        return self.wait_until_gone()

    def wait_until_gone(self) -> int:
        """The exit code of a process that was asked to leave. It is killed if it does not."""
        try:
            return self.daemon.process.wait(CLOSE_SECONDS)
        finally:
            self._bury()

    def is_gone(self) -> bool:
        return self._daemon is None or self._daemon.process.poll() is not None

    def ended(self) -> Ended | None:
        """How the process ended by itself; None while it runs."""
        if self.state == "away" or not self.is_gone():
            return None
        code = self.daemon.process.wait()
        self._bury()
        tail = [self.last_line()] if code == 1 else self.log().splitlines()[-TAIL_LINES:]
        return Ended(self.name, code, "\n".join(tail))

    def last_line(self) -> str:
        """The last line of the log."""
        return (self.log().splitlines() or [""])[-1]

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def abort(self) -> None:
        """End a stuck monitor. The stack of each thread is written to its log."""
        if self._daemon is not None and not self.is_gone():
            self.thaw()
            self.daemon.process.send_signal(signal.SIGABRT)
            self.daemon.process.wait(CLOSE_SECONDS)
        self.close()

    def close(self) -> None:
        if self._daemon is not None:
            self.daemon.process.kill()
            self._bury()

    def _bury(self) -> None:
        daemon, self._daemon, self.state = self._daemon, None, "away"
        if daemon is not None:
            daemon.process.kill()
            daemon.process.wait()
            daemon.__exit__()
