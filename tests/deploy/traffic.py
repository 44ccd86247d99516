"""Publishes records for the watched monitors at given rates, in a thread."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from monitor.beats import beat_file
from monitor.beats.stream import encode, source_name
from monitor.broker import Publisher
from monitor.records.record import Message

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.settings import Settings

Records = Iterator[tuple[Message, int | None]]
TICK_SECONDS = 0.05
FLAT = encode(np.full(140, 0.25, np.float32), "float32")


class BeatPool:
    """Encoded beats of ECG5000's test part by label, drawn the same for one seed."""

    def __init__(self, data: Path, seed: int = 1) -> None:
        found = beat_file.read(data / "ECG5000_TEST.tsv")
        assert found.abnormal is not None
        self._rng = random.Random(seed)
        self._normal, self._abnormal = (
            [encode(samples, "float32") for samples in found.samples[rows]]
            for rows in (~found.abnormal, found.abnormal)
        )

    def beat(self, abnormal_share: float = 0.0) -> bytes:
        return self._rng.choice(self._abnormal if self._rng.random() < abnormal_share else self._normal)

    def beats(
        self, topic: str, sources: int, *, abnormal_share: float = 0.0, age_seconds: float | None = None
    ) -> Records:
        """Beats of `sources` sources in turn, with the time of sending, or `age_seconds` earlier."""
        for count in itertools.count():
            yield Message(topic, source_name(count % sources), self.beat(abnormal_share)), _stamp(age_seconds)

    def strangers(self, topic: str, name: str, beats_each: int, age_seconds: float | None = None) -> Records:
        """Beats with a new source after every few beats."""
        for count in itertools.count():
            yield Message(topic, f"{name}-{count // beats_each}".encode(), self.beat()), _stamp(age_seconds)


def _stamp(age_seconds: float | None) -> int | None:
    return None if age_seconds is None else int(1000 * (time.time() - age_seconds))


def same(topic: str, key: bytes, value: bytes) -> Records:
    """The same record repeatedly."""
    return itertools.repeat((Message(topic, key, value), None))


@dataclass(slots=True)
class Stream:
    """The records of a stream and its rate per second."""

    records: Records
    rate: float
    began: float
    sent: int = 0

    def due(self, now: float) -> int:
        return int((now - self.began) * self.rate) - self.sent


class Traffic:
    """Sends every stream until the block ends or the stream is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._streams: dict[str, Stream] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise RuntimeError("the records could not be published") from self._failure

    def start(self, name: str, records: Records, rate: float) -> None:
        with self._lock:
            self._streams[name] = Stream(records, rate, time.monotonic())

    def stop(self, name: str) -> None:
        with self._lock:
            del self._streams[name]

    def _run(self) -> None:
        try:
            with closing(Publisher(self._settings)) as publisher:
                while not self._over.wait(TICK_SECONDS):
                    self._send(publisher)
                publisher.flush()
        except BaseException as error:  # noqa: BLE001 - raised again when the block ends
            self._failure = error

    def _send(self, publisher: Publisher) -> None:
        with self._lock:
            for stream in self._streams.values():
                due = stream.due(time.monotonic())
                for message, stamp in itertools.islice(stream.records, due):
                    publisher.send(message, stamp)
                stream.sent += due
