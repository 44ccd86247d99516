"""Says that no broker has answered yet, while a client still tries: the person who waits may know why."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings

log = logging.getLogger(__name__)

SLOW_SECONDS = 4.0


@contextmanager
def reported_delay(settings: Settings) -> Iterator[None]:
    """Log one line where the block takes longer than SLOW_SECONDS. The clients' own calls do not return meanwhile."""
    timer = threading.Timer(SLOW_SECONDS, _report, (settings.bootstrap_servers,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # so that no thread outlives the block


def _report(servers: str) -> None:
    log.warning("no answer from Kafka at %s yet: is the address right? Trying on", servers)
