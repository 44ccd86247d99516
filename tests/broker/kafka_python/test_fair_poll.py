"""A partition with very many records, and the others, with kafka-python."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from monitor.broker import Publisher
from monitor.records.record import Message
from tests.fakes import kafka_broker

LIMIT_SECONDS = 60
FLOOD = 3000


@pytest.fixture
def settings(make_settings):
    return make_settings(partitions=3, kafka_client="kafka-python", batch_size=100)


def write(settings, counts):
    """Write so many records to each of these partitions."""
    with closing(Publisher(settings)) as publisher:
        for partition, count in counts.items():
            for _ in range(count):
                publisher.send(Message(settings.beats_topic, b"bed", b"{", partition=partition))
        publisher.flush()


def polled(broker, count):
    """The partition of each of the next `count` records, for each poll."""
    found, deadline = [], time.monotonic() + LIMIT_SECONDS
    while sum(map(len, found)) < count:
        assert time.monotonic() < deadline, found
        records = broker.poll()
        assert (records.offset >= 0).all()
        found += [records.partition.tolist()] if len(records) else []
    return found


@pytest.mark.kafka
def test_of_floods_in_several_partitions_every_record_comes_once(settings):
    write(settings, dict.fromkeys(range(3), FLOOD))
    with closing(kafka_broker(settings)) as broker:
        found = polled(broker, 3 * FLOOD)
    for partition in range(3):
        assert sum(one.count(partition) for one in found) == FLOOD
