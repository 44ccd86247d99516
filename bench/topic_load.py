"""Fills a topic with beats: sources in turn, each with ten consecutive abnormal beats in five hundred."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.beats import beat_file
from monitor.beats.stream import BEAT_MS, encode, source_name
from monitor.broker import Publisher, TopicPlan, create_topics
from monitor.errors import RefusedError
from monitor.records.record import Message

try:
    from confluent_kafka import Producer  # ten times as fast; installed with the other systems
except ImportError:
    Producer = None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.case import Case
    from monitor.records.record import Headers

    SentBeat = tuple[bytes, bytes, int, Headers]  # key, value, ms since the epoch, headers

RUN, PERIOD = 10, 500  # abnormal beats of a source: 2 %
SEED = 1
PARTITIONS = 4
BATCH_BYTES = 64 * 1024  # as `ecg-monitor publish` batches them
IN_FLIGHT = 500_000
CHUNK = 500_000


@dataclass(frozen=True, slots=True)
class Load:
    """The contents of a topic."""

    beats: int
    sources: int
    form: str = "float32"
    compression: str = "none"
    partitions: int = PARTITIONS
    batch_bytes: int = BATCH_BYTES


def fill(case: Case, data: Path, load: Load) -> float:
    """Create the topics and publish the beats. Return the seconds. The last beat has the current time."""
    make_topics(case, load.partitions)
    began = time.perf_counter()
    if Producer is None:
        with closing(Publisher(case.settings())) as publisher:
            for key, value, stamp, _ in beats(data, load):
                publisher.send(Message(case.beats_topic, key, value), stamp)
            publisher.flush()
    else:
        send(producer(case, load), case.beats_topic, beats(data, load))
    return time.perf_counter() - began


def make_topics(case: Case, partitions: int) -> None:
    list(create_topics(case.settings(), TopicPlan(partitions, 1, 168)))


@contextmanager
def held_back(case: Case, data: Path, load: Load) -> Iterator[Callable[[], None]]:
    """Fill a topic in an open transaction. Calling the yielded function commits it, so that consumers see the beats."""
    make_topics(case, load.partitions)
    sender = producer(case, load, **{"transactional.id": case.prefix, "transaction.timeout.ms": 600_000})
    sender.init_transactions(60)
    sender.begin_transaction()
    send(sender, case.beats_topic, beats(data, load))
    yield lambda: sender.commit_transaction(60)


def beats(data: Path, load: Load) -> Iterator[SentBeat]:
    """The beats of a topic, without headers."""
    stock = beat_file.read(data)
    if stock.abnormal is None:
        raise RefusedError(f"{data}: the beats need labels")
    values = [encode(samples, load.form) for samples in stock.samples]
    keys = [source_name(lead) for lead in range(load.sources)]
    start_ms = int(1000 * time.time()) - (load.beats // load.sources + 1) * BEAT_MS
    phase = np.random.default_rng(SEED).integers(0, PERIOD, load.sources)
    for first in range(0, load.beats, CHUNK):
        count = np.arange(first, min(first + CHUNK, load.beats))
        source, turn = count % load.sources, count // load.sources
        row = _rows(stock.abnormal, (turn + phase[source]) % PERIOD < RUN, first)
        stamp = start_ms + turn * BEAT_MS
        for lead, at, when in zip(source.tolist(), row.tolist(), stamp.tolist(), strict=True):
            yield keys[lead], values[at], when, ()


def _rows(abnormal: NDArray[np.bool_], wanted: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """The row of the data set for each beat: an abnormal row where the beat is to be abnormal."""
    random = np.random.default_rng((SEED, seed))
    normal_row, abnormal_row = (
        random.choice(np.flatnonzero(abnormal == label), len(wanted)) for label in (False, True)
    )
    return np.where(wanted, abnormal_row, normal_row)


def producer(case: Case, load: Load, **options: object) -> Any:
    return Producer(
        {
            "bootstrap.servers": case.address,
            "log_level": 3,  # only errors; a coordinator that is still loading is a warning
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "batch.size": load.batch_bytes,
            "compression.type": load.compression,
            "queue.buffering.max.messages": 2 * IN_FLIGHT,
            "queue.buffering.max.kbytes": 1024 * 1024,
        }
        | options
    )


def send(sender: Any, topic: str, items: Iterator[SentBeat]) -> int:
    """Send beats, and return how many. Raises RuntimeError where the broker did not take every one."""
    count = 0
    for count, (key, value, stamp, headers) in enumerate(items, 1):
        sender.produce(topic, value, key, timestamp=stamp, headers=list(headers))
        if count % 1000 == 0:
            sender.poll(0)
            while len(sender) > IN_FLIGHT:
                sender.poll(0.05)
    if sender.flush(120):
        raise RuntimeError("the broker did not take every beat")
    return count
