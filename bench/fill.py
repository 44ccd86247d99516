"""A topic full of beats: sources in turn, each with a run of ten abnormal beats in five hundred."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor import beatfile
from monitor.broker import Publisher, TopicPlan, create_topics
from monitor.errors import RefusedError
from monitor.publish import BEAT_MS, encode, source_name
from monitor.record import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.case import Case

RUN, PERIOD = 10, 500  # abnormal beats of a source: 2 %
SEED = 1
PARTITIONS = 4
BATCH_BYTES = 64 * 1024  # as `ecg-monitor publish` batches them
IN_FLIGHT = 500_000


@dataclass(frozen=True, slots=True)
class Load:
    """What the topic is to hold."""

    beats: int
    sources: int
    form: str = "float32"
    compression: str = "none"
    partitions: int = PARTITIONS
    batch_bytes: int = BATCH_BYTES


def fill(case: Case, data: Path, load: Load) -> float:
    """Make the topics and publish; the seconds it took. Beat time ends now."""
    settings = case.settings()
    list(create_topics(settings, TopicPlan(load.partitions, 1, 168)))
    stock = beatfile.read(data)
    if stock.abnormal is None:
        raise RefusedError(f"{data}: the beats need labels")
    values = [encode(samples, load.form) for samples in stock.samples]
    source, row = deal(load, stock.abnormal)
    start_ms = int(1000 * time.time()) - (load.beats // load.sources + 1) * BEAT_MS
    began = time.perf_counter()
    keys = [source_name(lead) for lead in range(load.sources)]
    stamps = start_ms + np.arange(load.beats) // load.sources * BEAT_MS
    columns = zip(source.tolist(), row.tolist(), stamps.tolist(), strict=True)
    _publish(case, load, ((keys[lead], values[at], stamp) for lead, at, stamp in columns))
    return time.perf_counter() - began


def deal(load: Load, abnormal: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each beat its source and its row in the stock."""
    random = np.random.default_rng(SEED)
    source, turn = np.arange(load.beats) % load.sources, np.arange(load.beats) // load.sources
    phase = random.integers(0, PERIOD, load.sources)
    in_trouble = (turn + phase[source]) % PERIOD < RUN
    normal_row, abnormal_row = (random.choice(np.flatnonzero(abnormal == label), load.beats) for label in (False, True))
    return source, np.where(in_trouble, abnormal_row, normal_row)


def _publish(case: Case, load: Load, items: Iterator[tuple[bytes, bytes, int]]) -> None:
    try:
        from confluent_kafka import Producer  # noqa: PLC0415 - ten times as fast, where the peers are installed
    except ImportError:
        with closing(Publisher(case.settings())) as publisher:
            for key, value, stamp in items:
                publisher.send(Message(case.beats_topic, key, value), stamp)
            publisher.flush()
        return
    producer = Producer(
        {
            "bootstrap.servers": case.address,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "batch.size": load.batch_bytes,
            "compression.type": load.compression,
            "queue.buffering.max.messages": 2 * IN_FLIGHT,
            "queue.buffering.max.kbytes": 1024 * 1024,
        }
    )
    for count, (key, value, stamp) in enumerate(items):
        producer.produce(case.beats_topic, value, key, timestamp=stamp)
        if count % 1000 == 0:
            producer.poll(0)
            while len(producer) > IN_FLIGHT:
                producer.poll(0.05)
    if producer.flush(120):
        raise RuntimeError("the broker did not take every beat")
