"""Reads the progress of a group and the committed records of whole topics from Kafka."""

from __future__ import annotations

import contextlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from monitor.broker import Reader
from tests.chaos.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings

ASK_MS = 10_000
SETTLE_SECONDS = 90.0  # a transaction of the dead is ended by the broker: its timeout, and up to 10 s more
READ_SECONDS = 300.0
Place = tuple[int, int]  # partition and offset


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the position of its record, the reason, and the key and value that it keeps."""

    place: Place
    reason: str
    key: bytes | None
    value: bytes | None


def _consumer(settings: Settings, isolation_level: str) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers.split(","),
        group_id=settings.group_id,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        isolation_level=isolation_level,
        bootstrap_timeout_ms=ASK_MS,
        request_timeout_ms=ASK_MS,
        metrics_enabled=False,
    )


def behind(settings: Settings) -> int | None:
    """The number of beats that the group has not committed yet; None while the broker does not answer."""
    with (
        contextlib.suppress(Exception),
        closing(_consumer(settings, "read_committed")) as consumer,
    ):  # any error will do
        partitions = _partitions(consumer, settings.beats_topic)
        ends = consumer.end_offsets(partitions, timeout_ms=ASK_MS)
        return sum(int(end - (consumer.committed(tp, timeout_ms=ASK_MS) or 0)) for tp, end in ends.items())
    return None


def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]


def wait_for_transactions(settings: Settings, topic: str) -> float:
    """Wait until no transaction is open on a topic, so that all of it can be read. Return the seconds."""
    deadline = Deadline(SETTLE_SECONDS, f"every transaction on {topic} ended")
    with (
        closing(_consumer(settings, "read_committed")) as stable,
        closing(_consumer(settings, "read_uncommitted")) as raw,
    ):
        partitions = _partitions(raw, topic)
        while (stable_ends := stable.end_offsets(partitions)) != (ends := raw.end_offsets(partitions)):
            if deadline.is_over:
                raise TimeoutError(_open_transactions(settings, partitions, f"{stable_ends} of {ends}"))
            deadline.wait(0.2)
    return deadline.passed


def _open_transactions(settings: Settings, partitions: list[TopicPartition], ends: str) -> str:
    """What the broker knows of the transactions of these partitions, to find who left one open."""
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers.split(","))) as admin:
        producers, transactions = admin.describe_producers(partitions), admin.list_transactions()
    return f"a transaction is open after {SETTLE_SECONDS:g} s: {ends}; producers {producers}; known {transactions}"


def read(settings: Settings, topic: str) -> Iterator[Any]:
    """Every committed record of a topic."""
    wait_for_transactions(settings, topic)
    with Reader(settings, topic, from_beginning=True) as reader:
        yield from reader.until_end(READ_SECONDS)


def read_alerts(settings: Settings) -> list[dict[str, Any]]:
    return [orjson.loads(record.value) for record in read(settings, settings.alerts_topic)]


def score_places(settings: Settings) -> list[Place]:
    """Partition and offset of each beat that has a score."""
    scores = (orjson.loads(record.value) for record in read(settings, settings.scores_topic))
    return [(score["partition"], score["offset"]) for score in scores]


def letters(settings: Settings) -> list[Letter]:
    found = [(record, dict(record.headers)) for record in read(settings, settings.dead_letters_topic)]
    return [
        Letter((int(field["partition"]), int(field["offset"])), field["reason"].decode(), record.key, record.value)
        for record, field in found
    ]


def beats(settings: Settings) -> dict[Place, Any]:
    """Each record of the load, by partition and offset."""
    return {(record.partition, record.offset): record for record in read(settings, settings.beats_topic)}
