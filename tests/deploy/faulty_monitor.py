"""`python faulty_monitor.py run`: the monitor with faults that cannot be caused from outside.

A file of its name in the current folder switches a fault on. Each was met in practice or is documented:
`tight`   MemoryError for more than one beat at once: like a GPU whose memory other processes use
`paused`  partition 0 is not fetched any more: like kafka-python when a request to a failing node gets no response
`hung`    scoring does not return: like a driver that waits for its device
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from monitor import cli, daemon
from monitor.broker import confluent
from monitor.broker.confluent.group import ConfluentGroup
from monitor.model.batches import Batches
from monitor.model.scorer import Scorer

FITS = 1
PLANTS = TIGHT, PAUSED, HUNG = Path("tight"), Path("paused"), Path("hung")


class LittleMemory:
    """The scorer's arithmetic on a device with little memory."""

    def __init__(self, arithmetic: Any) -> None:
        self._arithmetic = arithmetic
        self.device, self.explain = arithmetic.device, arithmetic.explain

    def score(self, samples: Any) -> Any:
        if TIGHT.exists() and len(samples) > FITS:
            raise MemoryError("planted")
        return self._arithmetic.score(samples)


class FaultyScorer(Scorer):
    def __init__(self, detector: Any, device: str, batch_size: int, on_fallback: Any) -> None:
        super().__init__(detector, device, batch_size, on_fallback)
        little = LittleMemory(self._arithmetic)
        self._batches = Batches(little, lambda: self._arithmetic, batch_size, on_fallback)  # type: ignore[arg-type]

    def score(self, samples: Any) -> Any:
        while HUNG.exists():
            threading.Event().wait(1)
        return super().score(samples)


class FaultyGroup(ConfluentGroup):
    def poll(self, *arguments: Any) -> Any:
        if PAUSED.exists():
            self._consumer.pause([tp for tp in self._consumer.assignment() if tp.partition == 0])
        return super().poll(*arguments)


def replace(module: Any, name: str, sabotaged: type) -> None:
    """Replace a class by a faulty one. Fails if the name does not exist, because then there would be no fault."""
    assert hasattr(module, name), f"{module.__name__} has no {name}"
    setattr(module, name, sabotaged)


if __name__ == "__main__":
    replace(daemon, "Scorer", FaultyScorer)
    replace(confluent, "ConfluentGroup", FaultyGroup)
    cli.main()
