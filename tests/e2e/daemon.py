"""The daemon as a user runs it: a process with its settings in the environment. Its pages are read over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self

import orjson

from monitor.deadletters import letter
from monitor.demo.embedded_broker import free_port, stop
from tests.brokers import read_committed
from tests.messages import Published

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.settings import Settings

LIMIT_SECONDS = 90.0
LOOK_SECONDS = 0.05  # between two looks at a page: the daemon needs the processor that looking takes
SET = (
    "bootstrap_servers",
    "group_id",
    "session_timeout_ms",
    "scores",
    "broker_timeout_seconds",
    "batch_size",
    "delivery",
    "kafka_client",
)
TOPICS = (
    "beats_topic",
    "alerts_topic",
    "scores_topic",
    "dead_letters_topic",
    "control_topic",
    "state_topic",
    "profiles_topic",
)


class Daemon:
    """`ecg-monitor run` until the block ends."""

    command: tuple[str, ...] = (sys.executable, "-m", "monitor", "run")

    def __init__(self, settings: Settings, model: Path, log: Path, **variables: str) -> None:
        self.port = free_port()
        self.settings = settings
        self._log = log
        self._environment = clean_environment() | {
            f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in (*SET, *TOPICS)
        }
        self._environment |= {"MONITOR_MODEL": str(model), "MONITOR_HTTP_PORT": str(self.port), **variables}

    def __enter__(self) -> Self:
        self._output = self._log.open("ab")
        self.process = subprocess.Popen(
            self.command, env=self._environment, stderr=self._output, stdout=self._output, cwd=self._log.parent
        )
        return self

    def __exit__(self, *_: object) -> None:
        stop(self.process, 10)
        self._output.close()

    def terminate(self) -> int:
        """SIGTERM, as a supervisor sends it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_SECONDS)

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and body of a page; status 0 while nothing listens."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as page:
                return page.status, page.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """Sum over all series of one metric."""
        lines = (line.rsplit(" ", 1) for line in self.get("/metrics")[1].splitlines() if not line.startswith("#"))
        return sum(float(value) for series, value in lines if series.split("{")[0] == f"ecg_monitor_{name}")

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Look again and again, up to the limit; fails with the daemon's log."""
        deadline, pause = time.monotonic() + LIMIT_SECONDS, threading.Event()
        while not done():
            pause.wait(LOOK_SECONDS)
            assert self.process.poll() is None, f"the daemon ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"not {what} within {LIMIT_SECONDS} s:\n{self.log()}"

    def log(self) -> str:
        return self._log.read_text()


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MONITOR_")}


def read_all(settings: Settings, topic: str) -> list[Any]:
    """Every record of a topic. What a monitor wrote is checked; letters may be anybody's."""
    found, published = read_committed(settings, topic), Published(settings)
    for one in found if topic != settings.beats_topic else ():
        if topic != settings.dead_letters_topic or letter.read(one).refusal is not None:
            published.check(topic, one.value, one.headers)
    return found


def read_json(settings: Settings, topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(record.value) for record in read_all(settings, topic)]
