"""The contract of `monitor.broker.subscription.Subscription`: memory and Kafka, with both clients, keep it alike."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from monitor.broker import KafkaSubscription, MemoryCluster, Publisher
from monitor.errors import BrokerError
from monitor.records.record import Checkpoint, Message
from monitor.settings import Settings
from tests.conftest import CLIENTS
from tests.forward.pieces import TOPIC, MemorySubscription

LIMIT_SECONDS = 60


class InMemory:
    def __init__(self):
        self.cluster = MemoryCluster(Settings().model_copy(update={"beats_topic": TOPIC}))

    def open(self):
        return closing(MemorySubscription(self.cluster))

    def put(self, *values):
        self.cluster.publish_all(Message(TOPIC, b"bed-7", value) for value in values)


class OnKafka:
    def __init__(self, settings):
        self.settings = settings

    def open(self):
        topic, group = self.settings.alerts_topic, f"{self.settings.group_id}.forward.webhook"
        return closing(KafkaSubscription(self.settings, topic, group))

    def put(self, *values):
        with closing(Publisher(self.settings)) as publisher:
            for value in values:
                publisher.send(Message(self.settings.alerts_topic, b"bed-7", value))
            publisher.flush()


@pytest.fixture(params=["memory", *(pytest.param(one, marks=(pytest.mark.kafka, pytest.mark.slow)) for one in CLIENTS)])
def case(request):
    if request.param == "memory":
        return InMemory()
    request.getfixturevalue("kafka")
    return OnKafka(request.getfixturevalue("make_settings")(partitions=1, kafka_client=request.param))


def read(subscription, count):
    """So many values, with their offsets; and where the partition was begun."""
    found, assigned, deadline = [], {}, time.monotonic() + LIMIT_SECONDS
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} records came"
        records = subscription.poll()
        assigned |= records.assigned
        found += zip(records.offset.tolist(), records.value, strict=True)
    return found, assigned


def test_what_was_delivered_does_not_come_again(case):
    case.put(b"a", b"b", b"c")
    with case.open() as one:
        assert read(one, 3)[0] == [(0, b"a"), (1, b"b"), (2, b"c")]
        one.deliver(Checkpoint(offsets={0: 2}))
    with case.open() as other:
        assert read(other, 1)[0] == [(2, b"c")]


def test_records_from_where_it_was_told_to_read_come_again_and_are_named(case):
    case.put(b"a", b"b", b"c", b"d")
    with case.open() as one:
        read(one, 4)
        one.deliver(Checkpoint(offsets={0: 3}, read_from={0: 1}))
    with case.open() as other:
        found, assigned = read(other, 3)
    assert found == [(1, b"b"), (2, b"c"), (3, b"d")]
    assert (assigned[0].read_from, assigned[0].offset) == (1, 3)


def test_what_was_not_delivered_comes_again(case):
    case.put(b"a")
    with case.open() as one:
        read(one, 1)
    with case.open() as other:
        assert read(other, 1)[0] == [(0, b"a")]


def test_while_it_is_held_it_stays_a_member_reads_nothing_and_then_goes_on_without_a_gap(case):
    case.put(b"a", b"b")
    with case.open() as one:
        read(one, 2)
        assert len(one.poll(is_held=True)) == 0
        case.put(*(b"%d" % number for number in range(2000)))
        assert all(len(one.poll(is_held=True)) == 0 for _ in range(3))
        assert one.joined()
        found, assigned = read(one, 2000)
    assert [offset for offset, _ in found] == list(range(2, 2002))
    assert assigned == {}


def test_the_lag_counts_from_what_was_delivered_also_while_it_is_held(case):
    case.put(*(b"%d" % number for number in range(10)))
    with case.open() as one:
        read(one, 10)
        one.deliver(Checkpoint(offsets={0: 4}))
        deadline = time.monotonic() + LIMIT_SECONDS
        while one.lag() != {0: 6}:
            assert time.monotonic() < deadline, one.lag()
            one.poll()
        for _ in range(3):
            one.poll(is_held=True)
        assert one.lag() == {0: 6}


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("client", CLIENTS)
def test_a_topic_that_is_not_there_is_named(make_settings, client):
    settings = make_settings(kafka_client=client)
    with pytest.raises(BrokerError, match="no topic nowhere"):
        KafkaSubscription(settings, "nowhere", "group")
