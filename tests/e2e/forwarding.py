"""`ecg-monitor forward` as a process, and alerts on its topic."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.broker import Publisher
from monitor.records.record import Message
from tests.e2e.daemon import Daemon

if TYPE_CHECKING:
    from monitor.settings import Settings


class ForwardProcess(Daemon):
    """`ecg-monitor forward` until the block ends."""

    def __init__(self, settings: Settings, kind: str, url: str, log: Path, **variables: str) -> None:
        super().__init__(settings, Path("none"), log, **variables)
        self.command = (sys.executable, "-m", "monitor", "forward", "--to", kind, "--url", url)
        self._environment |= {"MONITOR_FORWARD_HTTP_PORT": str(self.port), "PYTHONPATH": str(Path(__file__).parents[2])}
        del self._environment["MONITOR_HTTP_PORT"]


def put(settings: Settings, *alerts: bytes, key: bytes = b"bed-7") -> None:
    """Write alerts as one monitor would: all of them committed."""
    with closing(Publisher(settings)) as publisher:
        for value in alerts:
            publisher.send(Message(settings.alerts_topic, key, value))
        publisher.flush()
