"""A monitor on a broker of its own, both on this machine, as long as a block runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from prometheus_client.parser import text_string_to_metric_families

from monitor import broker, settings
from monitor.demo.embedded_broker import SESSION_TIMEOUT_MS, embedded_broker, free_port, stop
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monitor.settings import Settings

READY_SECONDS = 60.0
JUDGE_SECONDS = 120.0
END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DemoMonitor:
    """A monitor that runs, and the settings by which it does. Its log is in a file."""

    config: Settings
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment for its commands."""
        config = self.config
        return os.environ | {
            "MONITOR_BOOTSTRAP_SERVERS": config.bootstrap_servers,
            "MONITOR_MODEL": str(config.model),
            "MONITOR_SCORES": "true",
            "MONITOR_LATCH_HIGH": "false",  # nobody acknowledges in it, and it counts what ends
            "MONITOR_DELIVERY": config.delivery,
            "MONITOR_SESSION_TIMEOUT_MS": str(config.session_timeout_ms),
            "MONITOR_KAFKA_CLIENT": config.kafka_client,
            "MONITOR_HTTP_PORT": str(config.http_port),
        }

    def wait_until_judged(self, records: int) -> None:
        """Wait for so many beats and dead letters. Raises MonitorError if they do not come."""
        click.echo("— waiting until the monitor has judged the last beat")
        self.wait_until(lambda: self._judged() >= records, JUDGE_SECONDS, "done")

    def wait_until(self, done: Callable[[], bool], seconds: float, state: str) -> None:
        """Ask again and again. Raises MonitorError after so many seconds."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise MonitorError(f"the monitor is not {state} after {seconds:g} s: the reason may be in {self.log}")
            time.sleep(0.1)

    def page(self, path: str) -> str | None:
        """The text of a page of the monitor; None while it does not answer or answers with an error."""
        try:
            url = f"http://{self.config.http_host}:{self.config.http_port}{path}"
            with urllib.request.urlopen(url, timeout=5) as page:
                return str(page.read().decode())
        except OSError:
            return None

    def _judged(self) -> float:
        """How many records the monitor has processed, according to its own metrics."""
        names = ("ecg_monitor_beats_total", "ecg_monitor_dead_letters_total")
        families = text_string_to_metric_families(self.page("/metrics") or "")
        return sum(sample.value for family in families for sample in family.samples if sample.name in names)


@contextmanager
def broker_with_topics(model: Path, log: Path) -> Iterator[Settings]:
    """Run a broker with the topics while the block runs; yields the settings of a monitor on it.

    Raises BrokerError when it does not start.
    """
    with embedded_broker(log) as address:
        config = settings.read(
            bootstrap_servers=address,
            model=model.resolve(),
            scores=True,
            delivery="at-least-once",  # the embedded broker has no transactions
            session_timeout_ms=SESSION_TIMEOUT_MS,
            kafka_client="kafka-python",  # the embedded broker is tried with this one
            http_port=free_port(),
        )
        for _ in broker.create_topics(config, broker.TopicPlan(4, 1, 168)):
            pass
        yield config


@contextmanager
def running_monitor(config: Settings, log: Path) -> Iterator[DemoMonitor]:
    """Run `ecg-monitor run` while the block runs. Raises MonitorError unless it ends with exit code 0."""
    running = DemoMonitor(config, log)
    click.echo("— starting a monitor")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "monitor", "run"], env=running.environment, stderr=output)
    try:
        running.wait_until(
            lambda: running.page("/readyz") is not None or process.poll() is not None, READY_SECONDS, "ready"
        )
        if process.poll() is None:
            yield running
            process.send_signal(signal.SIGTERM)
        if code := process.wait(timeout=END_SECONDS):
            raise MonitorError(f"the monitor ended with exit code {code}: the reason is in {log}")
    finally:
        stop(process, 5)
