"""Reads alerts as they come, and notes how long after its beat each can be read."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import numpy as np
import orjson

from monitor.broker import Reader

if TYPE_CHECKING:
    from monitor.settings import Settings

JOIN_SECONDS = 30.0


class AlertWatch:
    """Watches the alerts topic until the block ends.

    `found` has the time of each alert's beat, in seconds since the epoch, and the seconds until the alert came.
    """

    def __init__(self, settings: Settings, but: str) -> None:
        """`but`: a source whose alerts do not count."""
        self._settings, self._but = settings, but
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alert watch")
        self.found: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        with Reader(self._settings, self._settings.alerts_topic, from_beginning=True) as reader:
            while not self._done.is_set():
                records, now = reader.poll(), time.time()
                alerts = [orjson.loads(record.value or b"{}") for record in records]
                beats = [_seconds(one["beat_time"]) for one in alerts if one["source"] != self._but]
                self.found += [(beat, now - beat) for beat in beats]


def _seconds(text: str) -> float:
    """The time of a beat, as an alert has it, in seconds since the epoch."""
    return float(np.datetime64(text.rstrip("Z"), "ms").astype(np.int64)) / 1000
