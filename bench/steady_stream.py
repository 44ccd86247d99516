"""A steady stream of beats, some of which must raise an alert, and the moment each of these alerts can be read.

Every abnormal beat comes from a source of its own, so the alert's key says which beat it is about.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.beats import beat_file
from monitor.beats.stream import encode, source_name
from monitor.model import artifact
from monitor.model.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.case import Case

SOURCES = 60
TICK_SECONDS = 0.001
CLEAR = 0.1  # of the threshold: rounding differences between contenders do not change the verdict


@dataclass(frozen=True, slots=True)
class Stock:
    """Encoded beats that every contender scores as normal, and those that every one scores as abnormal."""

    quiet: list[bytes]
    loud: list[bytes]


def stock(model: Path, data: Path) -> Stock:
    loaded, beats = artifact.load(model, "cpu"), beat_file.read(data)
    ratio = Scorer(loaded, "cpu", 2048).score(beats.samples).score / loaded.manifest.threshold.value
    quiet, loud = (
        [encode(samples, "float32") for samples in beats.samples[rows]]
        for rows in (ratio < 1 - CLEAR, ratio > 1 + CLEAR)
    )
    return Stock(quiet, loud)


class SteadyStream:
    """Publish beats at a rate, some of them abnormal, until the block ends. At first it sends only abnormal beats."""

    def __init__(self, case: Case, stock: Stock, rate: float, alarms: float) -> None:
        self.sent: dict[bytes, float] = {}  # source of an abnormal beat -> when it was handed to the producer
        self.seen: dict[bytes, float] = {}  # … -> when its alert could be read
        self._case, self._stock, self._rate, self._alarms = case, stock, rate, alarms
        self._is_over, self._is_full = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._watch)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def at_full_rate(self) -> None:
        self._is_full.set()

    def _send(self) -> None:
        producer = Producer({"bootstrap.servers": self._case.address, "linger.ms": 0})
        alarms = self._due(lambda: self._alarms)
        beats = self._due(lambda: self._rate - self._alarms if self._is_full.is_set() else 0.0)
        turn, alarm = itertools.count(), itertools.count()
        quiet, loud, topic = self._stock.quiet, self._stock.loud, self._case.beats_topic
        while not self._is_over.wait(TICK_SECONDS):
            for _ in range(next(alarms)):
                count = next(alarm)
                source = b"alarm-%06d" % count
                self.sent[source] = time.perf_counter()
                producer.produce(topic, loud[count % len(loud)], source)
            for _ in range(next(beats)):
                count = next(turn)
                producer.produce(topic, quiet[count % len(quiet)], source_name(count % SOURCES))
            producer.poll(0)
        producer.flush(10)

    @staticmethod
    def _due(rate: Callable[[], float]) -> Iterator[int]:
        """The number of beats that are due since the last call."""
        owed, before = 0.0, time.perf_counter()
        while True:
            now = time.perf_counter()
            owed += rate() * (now - before)
            before = now
            yield int(owed)
            owed -= int(owed)

    def _watch(self) -> None:
        options = {"group.id": "watch", "isolation.level": "read_committed", "enable.auto.commit": False}
        with closing(
            Consumer({"bootstrap.servers": self._case.address, "fetch.wait.max.ms": 100} | options)
        ) as consumer:
            topic = self._case.alerts_topic
            consumer.assign([TopicPartition(topic, partition, 0) for partition in range(self._case.partitions)])
            while not self._is_over.is_set():
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    self.seen.setdefault(message.key(), time.perf_counter())
