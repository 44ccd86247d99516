"""What a publisher writes that does harm, batch by batch, and the thread that writes it.

Each attack has once stopped a monitor, taken its memory, or kept the alarms of others from being raised.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.chaos.load import FLAT_BEAT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings

OTHER = b"other"  # the source of every record that can be a beat
BETWEEN_ATTACKS_SECONDS = 1.0
HELD_SECONDS = 1.0
SEND_SECONDS = 60.0
MANY_FIELDS = b"{%b}" % b",".join(b'"%d":1' % min(number, 7998) for number in range(8000))
FLOOD = [(OTHER, b"{", None)] * 20_000


class Attack(NamedTuple):
    """Records (key, value, headers) of one batch, with the time of each: ms from now, or for each in turn a time."""

    records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]] | None]]
    codec: str = "zstd"
    ahead_ms: int = 0  # a record is so much ahead of the one before it
    times: tuple[int, ...] = ()


ATTACKS = {
    "long keys": Attack([(b"k" * 600_000, FLAT_BEAT, None)] * 3),
    "a very long key": Attack([(b"k" * 3_000_000, b"{", None)]),
    "many headers": Attack([(OTHER, b"{", [("", b"")] * 5000)]),
    "a flood of junk": Attack([(OTHER, b"z" * 60_000, None)] * 1000),
    "a flood of small junk": Attack(FLOOD),
    "objects of many fields": Attack([(OTHER, MANY_FIELDS[:60_000] + b"}", None)] * 300),
    "a list of many numbers": Attack([(OTHER, b'{"samples":[%b]}' % b",".join([b"1"] * 30_000), None)] * 300),
    "a record that inflates": Attack([(OTHER, bytes(400 << 20), None)]),
    "a batch that inflates": Attack([(OTHER, bytes(1 << 20), None)] * 100),
    "a batch that inflates, with gzip": Attack([(OTHER, bytes(1 << 20), None)] * 100, "gzip"),
    "a large value": Attack([(OTHER, bytes(9_000_000), None)]),
    "wrong bytes": Attack([(OTHER, np.full(140, 100.0, ">f4").tobytes(), None)] * 100),
    "a clock that runs away": Attack([(OTHER, FLAT_BEAT, None)] * 200, ahead_ms=61_000),
    "a clock that runs fast": Attack([(OTHER, FLAT_BEAT, None)] * 25, ahead_ms=1900),  # see decisions: 31 are believed
    "a clock that runs backwards": Attack([(OTHER, FLAT_BEAT, None)] * 200, ahead_ms=-61_000),
    "impossible times": Attack([(OTHER, FLAT_BEAT, None)] * 30, times=(-1, 1, 2**62)),
}


NO_PROFILES = [(OTHER, b"ECGP" + bytes(20_000)), (b"\xff", b"ECGP"), (b"k" * 600_000, b"{")] + [
    (b"invented %d" % number, b"z" * number) for number in range(1000)
]


def spoil_profiles(settings: Settings, partitions: int) -> None:
    """Write rows that are no profiles, for a monitor to find when it starts."""
    producer = Producer(_address(settings))
    for partition in range(partitions):
        for key, value in NO_PROFILES:
            producer.produce(settings.profiles_topic_name, value, key, partition)
    producer.flush(SEND_SECONDS)


def accept_any_time(settings: Settings) -> None:
    """Let the beats topic take records of any time: Kafka 4 refuses those more than an hour ahead."""
    resource = ConfigResource(
        ResourceType.TOPIC,
        settings.beats_topic,
        incremental_configs=[
            ConfigEntry("message.timestamp.after.max.ms", str(2**63 - 1), incremental_operation=AlterConfigOpType.SET)
        ],
    )
    admin = AdminClient(_address(settings))  # which answers no more once nobody holds it
    (done,) = admin.incremental_alter_configs([resource]).values()
    done.result(SEND_SECONDS)


@contextmanager
def attacked(settings: Settings, partitions: int) -> Iterator[list[tuple[float, str]]]:
    """Write one attack after the other, to one partition after the other, until the block ends.

    Gives the time of each, in seconds since the epoch, and its name.
    """
    done, made = threading.Event(), list[tuple[float, str]]()
    thread = threading.Thread(target=_attack, args=(settings, partitions, done, made), name="attacker")
    thread.start()
    try:
        yield made
    finally:
        done.set()
        thread.join()


def _attack(settings: Settings, partitions: int, done: threading.Event, made: list[tuple[float, str]]) -> None:
    topics = settings.state_topic_name, settings.profiles_topic_name, settings.control_topic
    held = [_open_transaction(settings, topic, b"threshold/*") for topic in topics]
    large = {"message.max.bytes": 10**9, "batch.size": 2 * 10**9, "queue.buffering.max.kbytes": 2 * 10**6}
    producers = {
        codec: Producer(_address(settings) | large | {"compression.type": codec, "linger.ms": 60_000})
        for codec in {attack.codec for attack in ATTACKS.values()}
    }
    for number, (name, attack) in enumerate(itertools.cycle(ATTACKS.items())):
        made.append((time.time(), name))
        _send(producers[attack.codec], settings.beats_topic, number % partitions, attack)
        if number % len(ATTACKS) == 0:
            _hold_back(settings, number % partitions, done)
        if done.wait(BETWEEN_ATTACKS_SECONDS):
            break
    for producer in held:
        producer.abort_transaction(SEND_SECONDS)


def _send(producer: Producer, topic: str, partition: int, attack: Attack) -> None:
    now = int(1000 * time.time())
    for number, (key, value, headers) in enumerate(attack.records):
        at = attack.times[number % len(attack.times)] if attack.times else now + number * attack.ahead_ms
        producer.produce(topic, value, key, partition, timestamp=at, headers=headers)
    producer.flush(SEND_SECONDS)


def _hold_back(settings: Settings, partition: int, done: threading.Event) -> None:
    """An open transaction hides what others write behind it."""
    producer = _open_transaction(settings, settings.beats_topic, OTHER, partition)
    done.wait(HELD_SECONDS)
    producer.abort_transaction(SEND_SECONDS)


def _open_transaction(settings: Settings, topic: str, key: bytes, partition: int = 0) -> Producer:
    options = {"transactional.id": f"{topic}-holder", "transaction.timeout.ms": 600_000}
    producer = Producer(_address(settings) | options)
    producer.init_transactions(SEND_SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"{}", key, partition)
    producer.flush(SEND_SECONDS)
    return producer


def _address(settings: Settings) -> dict[str, Any]:
    return {"bootstrap.servers": settings.bootstrap_servers}
