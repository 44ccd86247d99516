"""What one Kafka transaction promises, and which defects of the client would break it: on both clients."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import MemberToRemove

from monitor.broker import KafkaBroker, Publisher, kafka_client
from monitor.broker.client import CommittedOffset
from monitor.broker.limits import StepLimit
from monitor.broker.reading.assignment import Assignment
from monitor.broker.writing.transactions import TransactionalProducer
from monitor.errors import BrokerError, RefusedError, RewoundError
from monitor.records.record import Assigned, BrokerFacts, Checkpoint, ControlRecord, Message
from monitor.records.stream_time import StreamTime
from tests.brokers import read_committed, take_transactional_id
from tests.conftest import CLIENTS
from tests.fakes import kafka_broker

pytestmark = pytest.mark.usefixtures("kafka")
LIMIT_SECONDS = 60


@pytest.fixture(params=CLIENTS)
def make_settings(request, make_settings):
    """Settings for each of the two Kafka clients."""
    return partial(make_settings, kafka_client=request.param)


@pytest.fixture
def assignments(monkeypatch):
    """The assignments of all members that a test makes, in order."""
    made = []

    class Recorded(Assignment):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("monitor.broker.reading.consumer.Assignment", Recorded)
    return made


def publish(settings, count, topic=None, value=b"beat"):
    with closing(Publisher(settings)) as publisher:
        for _ in range(count):
            publisher.send(Message(topic or settings.beats_topic, b"source", value))
        publisher.flush()


def read(broker, count):
    """Polls until so many records came; everything that was resumed, and the number of records."""
    assigned, found, deadline = {}, 0, time.monotonic() + LIMIT_SECONDS
    while found < count:
        assert time.monotonic() < deadline
        records = broker.poll()
        assigned |= records.assigned
        found += len(records)
    return assigned, found


def alerts(settings):
    return [record.value for record in read_committed(settings, settings.alerts_topic)]


def committed(settings):
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap_servers, group_id=settings.group_id)
    with closing(consumer):
        return [consumer.committed(TopicPartition(settings.beats_topic, partition)) for partition in range(2)]


def alert(settings, value):
    return Message(settings.alerts_topic, b"source", value)


def test_messages_state_and_offsets_come_together_and_the_next_member_resumes_from_them(make_settings):
    settings = make_settings(partitions=1)
    publish(settings, 3)
    row = Message(settings.state_topic, b"bed", b"open", partition=0)
    with closing(kafka_broker(settings)) as broker:
        read(broker, 3)
        broker.deliver(Checkpoint((alert(settings, b"one"), row), offsets={0: 2}, stream_times={0: StreamTime.at(77)}))
    with closing(kafka_broker(settings)) as broker:
        assigned, _ = read(broker, 1)
        assert assigned == {0: Assigned(2, StreamTime.at(77), {b"bed": b"open"}, atomic=True)}
        broker.deliver(Checkpoint((), (row._replace(value=None),), offsets={0: 3}, stream_times={0: StreamTime.at(78)}))
    with closing(kafka_broker(settings)) as broker:
        assigned = broker.poll().assigned
        while not assigned:
            assigned = broker.poll().assigned
    assert assigned == {0: Assigned(3, StreamTime.at(78), {}, atomic=True)}
    assert alerts(settings) == [b"one"]


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_what_was_begun_when_a_member_leaves_is_delivered_with_its_offset(make_settings, delivery):
    settings = make_settings(partitions=1, delivery=delivery)
    publish(settings, 3)
    with closing(kafka_broker(settings)) as broker:
        read(broker, 3)
        broker.begin(Checkpoint((alert(settings, b"one"),), offsets={0: 2}, stream_times={0: StreamTime.at(77)}))
    assert alerts(settings) == [b"one"]
    with closing(kafka_broker(settings)) as broker:
        assigned, found = read(broker, 1)
        assert (assigned[0].offset, assigned[0].stream_time, found) == (2, StreamTime.at(77), 1)


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize(
    ("delivery", "place", "error"),
    [
        (
            "exactly-once",
            "monitor.broker.writing.transactions.TransactionalProducer.deliver",
            RefusedError("somebody has the name"),
        ),
        (
            "at-least-once",
            "monitor.broker.writing.producer.AcknowledgedProducer.deliver",
            BrokerError("the topic takes nothing"),
        ),
    ],
)
def test_offsets_of_what_was_not_delivered_do_not_follow_when_the_member_leaves(
    make_settings, monkeypatch, delivery, place, error, begins
):
    settings = make_settings(partitions=1, delivery=delivery)
    publish(settings, 3)

    def fail(*_):
        raise error

    with closing(kafka_broker(settings)) as broker:
        read(broker, 3)
        step = Checkpoint((alert(settings, b"one"),), offsets={0: 3})
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            if begins:
                broker.begin(step)
            with pytest.raises(type(error)):
                broker.deliver(step)
    with closing(kafka_broker(settings)) as broker:
        assigned, found = read(broker, 3)
    assert (assigned[0].offset, found) == (0, 3)


def test_at_least_once_nothing_is_committed_of_a_partition_that_was_revoked_meanwhile(make_settings, assignments):
    settings = make_settings(partitions=2, delivery="at-least-once", commit_interval_ms=3_600_000)
    publish(settings, 3)
    with closing(kafka_broker(settings)) as broker:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (broker.joined() and len(broker.lag()) == 2):
            broker.poll()
            assert time.monotonic() < deadline
        step = Checkpoint((alert(settings, b"one"),), offsets={0: 1, 1: 1})
        broker.begin(step)
        assignments[0].revoke({0})  # as the consumer does when a partition is revoked
        broker.deliver(step)
        assert committed(settings) == [None, 1]


def test_a_partition_that_was_revoked_during_a_delivery_is_restored_where_that_delivery_ends(
    make_settings, assignments
):
    settings = make_settings(partitions=1)
    publish(settings, 3)
    with closing(kafka_broker(settings)) as broker:
        read(broker, 3)
        first = Checkpoint((alert(settings, b"one"),), offsets={0: 2}, stream_times={0: StreamTime.at(77)})
        broker.begin(first)
        assignments[0].revoke_all()  # as the consumer does after a failure
        assigned, found = read(broker, 1)
        broker.deliver(first)
    assert (assigned[0].offset, assigned[0].stream_time, found) == (2, StreamTime.at(77), 1)


def test_a_member_of_an_older_generation_delivers_nothing_and_what_it_meant_to_commit_leaks_nowhere(make_settings):
    """kafka-python 3.0.12 commits the offsets of the aborted transaction with the next one."""
    settings = make_settings(partitions=2)
    client = kafka_client(settings)
    with (
        closing(client.group(settings, LIMIT_SECONDS)) as group,
        closing(TransactionalProducer(settings, client)) as transactions,
    ):
        poll_until((group,), group.is_stable)
        stale = group.membership()
        with closing(client.group(settings, LIMIT_SECONDS)) as other:
            poll_until((group, other), lambda: len(group.assignment()) == len(other.assignment()) == 1)
        with pytest.raises(RewoundError, match="transaction failed"):
            transactions.deliver([alert(settings, b"stale")], {0: CommittedOffset(10, "")}, stale)
        poll_until((group,), lambda: group.is_stable() and len(group.assignment()) == 2)
        transactions.deliver([alert(settings, b"good")], {1: CommittedOffset(5, "")}, group.membership())
        assert alerts(settings) == [b"good"]
        assert committed(settings) == [None, 5]


def poll_until(groups, is_done):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not is_done():
        assert time.monotonic() < deadline
        for group in groups:
            group.poll(StepLimit(100, 1_000_000))


def test_a_member_that_was_put_out_of_the_group_commits_nothing(make_settings):
    """The clients hand out the member (-1, '') then, and the broker takes offsets under it from anybody."""
    settings = make_settings(partitions=2)
    client = kafka_client(settings)
    with closing(client.group(settings, LIMIT_SECONDS)) as group, closing(_admin(settings)) as admin:
        poll_until((group,), group.is_stable)
        (member,) = admin.describe_groups([settings.group_id])[settings.group_id]["members"]
        admin.remove_group_members(settings.group_id, [MemberToRemove(member_id=member["member_id"])])
        poll_until((group,), lambda: group.membership().member_id != member["member_id"])
        with (
            closing(TransactionalProducer(settings, client)) as transactions,
            pytest.raises(RewoundError, match="out of the group"),
        ):
            transactions.deliver([], {0: CommittedOffset(10, "")}, group.membership()._replace(member_id=""))
    assert committed(settings) == [None, None]


@pytest.mark.parametrize("make_settings", ["kafka-python"], indirect=True)
def test_a_member_that_comes_back_under_another_name_begins_again_though_no_listener_was_called(
    make_settings, monkeypatch
):
    """kafka-python 3.0.12 is silent when a member is put out while it joins, and claims its old partitions."""
    settings = make_settings(partitions=1, commit_interval_ms=3_600_000)
    for name in ("on_partitions_revoked", "on_partitions_assigned"):
        monkeypatch.setattr(f"monitor.broker.kafka_python.group.RebalanceListener.{name}", lambda *_: None)
    publish(settings, 3)
    with closing(kafka_broker(settings)) as broker, closing(_admin(settings)) as admin:
        read(broker, 3)
        (member,) = admin.describe_groups([settings.group_id])[settings.group_id]["members"]
        admin.remove_group_members(settings.group_id, [MemberToRemove(member_id=member["member_id"])])
        assigned, deadline = {}, time.monotonic() + LIMIT_SECONDS
        while not assigned:
            assigned |= broker.poll().assigned
            assert time.monotonic() < deadline
    assert assigned == {0: Assigned(0, None, {}, atomic=True)}


def test_after_a_step_that_came_to_nothing_it_is_read_again_and_delivered_once(make_settings):
    settings = make_settings(partitions=1)
    publish(settings, 3)
    with closing(KafkaBroker(settings)) as broker:
        read(broker, 3)
        delivery = Checkpoint((alert(settings, b"one"),), offsets={0: 3})
        take_transactional_id(settings)
        with pytest.raises(RewoundError):
            broker.deliver(delivery)
        assigned, found = read(broker, 3)
        assert (assigned[0].offset, found) == (0, 3)
        facts = broker.facts()
        assert (facts.commit_failures, facts.rewinds, facts.commits, len(facts.restore_seconds)) == (1, 1, 0, 2)
        broker.deliver(replace(delivery))
        assert broker.facts() == BrokerFacts(commits=1)
    assert alerts(settings) == [b"one"]
    assert committed(settings)[0] == 3


def test_a_restart_under_the_same_name_ends_what_the_dead_one_left_open(make_settings):
    settings = make_settings(partitions=1)
    dead = KafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        transactional_id=settings.transactional_id,
        transaction_timeout_ms=60_000,
    )
    dead.init_transactions()
    dead.begin_transaction()
    dead.send(settings.alerts_topic, key=b"source", value=b"half").get(timeout=30)
    began = time.monotonic()
    with closing(kafka_broker(settings)):
        publish(settings, 1, settings.alerts_topic, b"whole")
        assert alerts(settings) == [b"whole"]
    assert time.monotonic() - began < LIMIT_SECONDS / 2  # the broker itself would have waited for it longer
    dead.close(timeout=0)


def test_two_processes_of_one_name_are_told_and_one_of_them_ends(make_settings):
    settings = make_settings(partitions=1)
    publish(settings, 1)
    with closing(kafka_broker(settings)) as one:
        read(one, 1)
        with closing(TransactionalProducer(settings, kafka_client(settings))) as other:
            for _ in range(2):
                take_over(other)
                with pytest.raises(RewoundError, match=r"(?i)fenced"):
                    one.deliver(Checkpoint((alert(settings, b"lost"),), offsets={0: 1}))
                read(one, 1)
            take_over(other)
            with pytest.raises(RefusedError, match="give each process a name of its own"):
                one.deliver(Checkpoint((alert(settings, b"lost"),), offsets={0: 1}))
    assert alerts(settings) == []


def take_over(other):
    """As a process does that starts under the same name."""
    other.close()
    other.prepare()


def test_partitions_that_are_added_are_read_and_the_state_topic_follows(make_settings):
    settings = make_settings(partitions=1)
    with closing(kafka_broker(settings)) as broker, closing(_admin(settings)) as admin:
        deadline = time.monotonic() + LIMIT_SECONDS
        while 0 not in broker.poll().assigned:
            assert time.monotonic() < deadline
        admin.create_partitions({settings.beats_topic: 3})
        assigned = {}
        while assigned.keys() != {1, 2}:
            assigned |= broker.poll().assigned
            assert time.monotonic() < deadline
        row = Message(settings.state_topic, b"bed", b"open", partition=2)
        broker.deliver(Checkpoint((row,), offsets={2: 0}))
        assert len(admin.describe_topics([settings.state_topic])[0]["partitions"]) == 3


def test_what_retention_deleted_before_it_was_read_is_counted_and_the_rest_is_read(make_settings):
    settings = make_settings(partitions=1)
    publish(settings, 10)
    with closing(kafka_broker(settings)) as broker:
        read(broker, 10)
        broker.deliver(Checkpoint((alert(settings, b"one"),), offsets={0: 4}))
    with closing(_admin(settings)) as admin:
        admin.delete_records({TopicPartition(settings.beats_topic, 0): 7})
    with closing(KafkaBroker(settings)) as broker:
        assigned, found = read(broker, 3)
        facts = broker.facts()
    assert (assigned[0].offset, found) == (7, 3)
    assert (facts.lost_records, facts.offset_resets) == (3, 1)


def test_a_new_group_that_begins_at_the_end_stays_where_it_began(make_settings):
    settings = make_settings(partitions=1, offset_reset="latest", commit_interval_ms=0)
    publish(settings, 3)
    with closing(kafka_broker(settings)) as broker:
        assigned, deadline = {}, time.monotonic() + LIMIT_SECONDS
        while not assigned or committed(settings)[0] is None:
            assigned |= broker.poll().assigned
            assert time.monotonic() < deadline
    publish(settings, 2)
    with closing(kafka_broker(settings)) as broker:
        assert read(broker, 2)[0][0].offset == 3


def test_control_records_come_whole_at_first_and_then_as_they_are_written(make_settings):
    settings = make_settings(partitions=1)
    publish(settings, 2, settings.control_topic, b"{}")
    with closing(kafka_broker(settings)) as broker:
        first = broker.poll().control_records
        assert first == (ControlRecord(b"source", b"{}", 0), ControlRecord(b"source", b"{}", 1))
        publish(settings, 1, settings.control_topic, b"[]")
        later, deadline = (), time.monotonic() + LIMIT_SECONDS
        while not later:
            later = broker.poll().control_records
            assert time.monotonic() < deadline
    assert later == (ControlRecord(b"source", b"[]", 2),)


def _admin(settings):
    return KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
