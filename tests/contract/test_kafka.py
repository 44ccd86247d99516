"""What only a real broker shows: records that trip the client, members that share, topics that are made."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, suppress
from functools import partial

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, NewTopic

from monitor.broker import (
    COMMAND_SECONDS,
    KafkaBroker,
    Publisher,
    Reader,
    TopicPlan,
    create_topics,
    has_beat_times,
    kafka_client,
    missing_topics,
    retention_ms,
)
from monitor.errors import BrokerError, RefusedError
from monitor.records.record import Assigned, Checkpoint, Message
from monitor.records.stream_time import StreamTime
from tests.brokers import read_committed
from tests.conftest import CLIENTS, settings_on
from tests.fakes import kafka_broker

LIMIT_SECONDS = 60


@pytest.fixture(params=CLIENTS)
def make_settings(request, make_settings):
    """Settings for each of the two Kafka clients."""
    return partial(make_settings, kafka_client=request.param)


class NotUtf8(str):
    """A header's name as a publisher in another language may write it."""

    __slots__ = ()

    def encode(self, *_):
        return b"\xff\xfe"


def publish(settings, values, **options):
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap_servers, **options)
    for value, headers in values:
        producer.send(settings.beats_topic, value, key=b"source", headers=headers, partition=0)
        producer.flush()
    producer.close()


def read(broker, count):
    found, deadline = [], time.monotonic() + LIMIT_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        records = broker.poll()
        found += zip(records.offset.tolist(), records.value, map(list, records.headers), strict=True)
    return found


@pytest.mark.parametrize(
    "codec",
    [pytest.param("gzip", marks=pytest.mark.slow), "lz4", pytest.param("snappy", marks=pytest.mark.slow), "zstd"],
)
def test_beats_may_come_compressed(make_settings, codec):
    settings = make_settings()
    publish(settings, [(b"x" * 560, [])], compression_type=codec)
    with closing(kafka_broker(settings)) as broker:
        assert read(broker, 1) == [(0, b"x" * 560, [])]


@pytest.mark.parametrize("make_settings", ["kafka-python"], indirect=True)
@pytest.mark.usefixtures("kafka")
def test_whatever_lies_in_a_partition_is_read_alike_by_both_clients(make_settings):
    settings = make_settings(partitions=1)
    fill_with_everything(settings)
    read_by = []
    for client in CLIENTS:
        way = settings.model_copy(update={"kafka_client": client, "group_id": f"{settings.group_id}-{client}"})
        for _ in create_topics(way, TopicPlan(1, 1, 1)):
            pass
        with closing(kafka_broker(way)) as broker:
            read_by.append(read(broker, 4 * 120))
    assert len(read_by[0]) == 4 * 120
    assert read_by[0] == read_by[1]
    assert not any(value == b"aborted" for _, value, _ in read_by[0])


def fill_with_everything(settings):
    """Four codecs, values of all sizes, headers, keys of many lengths, transactions that end either way."""
    for codec in (None, "lz4", "zstd", "gzip"):
        producer = KafkaProducer(
            bootstrap_servers=settings.bootstrap_servers,
            transactional_id=f"filler-{codec}",
            compression_type=codec,
            linger_ms=20,
        )
        producer.init_transactions()
        for is_kept in (True, False, True):
            producer.begin_transaction()
            for count in range(60):
                value = [bytes(560), None, b"{}" * count, b"x" * 70_000][count % 4] if is_kept else b"aborted"
                headers = [("trace", b"%d" % count)] * (count % 3)
                producer.send(settings.beats_topic, value, key=b"k" * count or None, headers=headers, partition=0)
            (producer.commit_transaction if is_kept else producer.abort_transaction)()
        producer.close()


@pytest.mark.usefixtures("kafka")
def test_a_header_name_that_is_not_utf8_does_not_stop_its_partition(make_settings):
    settings = make_settings()
    publish(settings, [(b"one", []), (b"two", [(NotUtf8("?"), b"1")]), (b"three", [])])
    with closing(kafka_broker(settings)) as broker:
        found = {offset: rest for offset, *rest in read(broker, 3)}
    assert found[1][0] == b"two"
    if settings.kafka_client == "kafka-python":  # confluent-kafka has no call that reads any header of such a record
        assert found[1][1] == [("\\xff\\xfe", b"1")]
    assert found[2] == [b"three", []]


@pytest.mark.usefixtures("kafka")
def test_a_dead_letter_too_large_for_the_broker_loses_its_value_and_nothing_else_is_held_up(make_settings):
    settings = make_settings(partitions=1)
    large = Message(settings.dead_letters_topic, b"k", b"z" * 3_000_000, (("reason", b"too-large"),), True)
    small = Message(settings.alerts_topic, b"k", b"alert")
    delivery = Checkpoint((small, large, small))
    with closing(kafka_broker(settings)) as broker:
        refusals = deliver_at_last(broker, delivery)
    assert all("message size too large" in text.lower() or "MessageSizeTooLarge" in text for text in refusals)
    assert 1 <= len(refusals) <= 4  # batches of two sizes, then the letter by itself
    with Reader(settings, settings.dead_letters_topic, from_beginning=True) as reader:
        (letter,) = reader.until_end()
    assert letter.value is None
    assert letter.headers == (("reason", b"too-large"), ("omitted", b"value, 3000000 bytes"))
    with Reader(settings, settings.alerts_topic, from_beginning=True) as reader:
        alerts = [record.value for record in reader.until_end()]
    assert set(alerts) == {b"alert"}
    assert len(alerts) >= 2


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("rows", [300, 5000])
def test_a_letter_that_is_too_large_does_not_stop_what_follows_it(make_settings, rows):
    """The broker refuses it while the rest is still being sent: the clients then raise another error."""
    settings = make_settings(partitions=1)
    large = Message(settings.dead_letters_topic, b"k", b"z" * 3_000_000, (("reason", b"too-large"),), True)
    state = [Message(settings.state_topic, b"bed-%d" % row, b"s" * 200, partition=0) for row in range(rows)]
    with closing(kafka_broker(settings)) as broker:
        refusals = deliver_at_last(broker, Checkpoint((large, *state)))
    assert 1 <= len(refusals) <= 4, refusals
    with closing(kafka_broker(settings)) as broker:
        assigned = {}
        while not assigned:
            assigned |= broker.poll().assigned
    assert len(assigned[0].state) == rows


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("make_settings", ["kafka-python"], indirect=True)
@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_a_group_may_change_its_client(make_settings, delivery):
    settings = make_settings(partitions=1, delivery=delivery)
    publish(settings, [(b"one", []), (b"two", []), (b"three", [])])
    found = []
    for client in (*CLIENTS, *CLIENTS):
        with closing(kafka_broker(settings.model_copy(update={"kafka_client": client}))) as broker:
            assigned = {}
            while not assigned:
                assigned |= broker.poll().assigned
            found.append((assigned[0].offset, assigned[0].stream_time))
            at = len(found)
            row = Message(settings.state_topic, b"bed", b"open", partition=0)
            broker.deliver(Checkpoint((row,), (), {0: min(at, 3)}, {0: StreamTime.at(70 + at)}))
    assert found == [(0, None), *((at, StreamTime.at(70 + at)) for at in (1, 2, 3))]


def deliver_at_last(broker, delivery):
    """Deliver as the loop does, again after each failure; the sentences of the failures."""
    refusals, deadline = [], time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        read_until_assigned(broker)
        try:
            broker.deliver(delivery)
        except BrokerError as error:
            refusals.append(str(error))
        else:
            return refusals
    raise AssertionError(refusals)


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_what_a_topic_takes_only_in_small_batches_arrives_once_and_in_order(make_settings, delivery):
    settings = make_settings(partitions=1, delivery=delivery)
    topic = f"{settings.group_id}.narrow"
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)) as admin:
        configs = {"max.message.bytes": "3000"}
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1, topic_configs=configs)])
    values = [b"%d" % number * 100 for number in range(10, 70)]
    with closing(kafka_broker(settings)) as broker:
        assert deliver_at_last(broker, Checkpoint((Message(topic, b"k", b"first"),))) == []
        refusals = deliver_at_last(broker, Checkpoint(tuple(Message(topic, b"k", value) for value in values)))
    assert len(refusals) <= 2  # kafka-python splits the batch by itself
    with Reader(settings, topic, from_beginning=True) as reader:
        assert [record.value for record in reader.until_end()] == [b"first", *values]


@pytest.mark.usefixtures("kafka")
def test_members_of_a_group_share_the_partitions_and_a_leaver_gives_them_back(make_settings):
    settings = make_settings(partitions=4)
    with closing(kafka_broker(settings)) as one:
        with closing(kafka_broker(settings.model_copy(update={"instance": "other"}))) as other:
            poll_until((one, other), lambda: len(one.lag()) == len(other.lag()) == 2)
            assert not one.lag().keys() & other.lag().keys()
        poll_until((one,), lambda: len(one.lag()) == 4)


def poll_until(brokers, done):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not done():
        assert time.monotonic() < deadline
        for broker in brokers:
            broker.poll()


def read_until_assigned(broker):
    poll_until((broker,), broker.joined)


@pytest.mark.usefixtures("kafka")
def test_the_markers_of_a_publishers_transactions_are_no_lag(make_settings):
    settings = make_settings(partitions=1)
    with transaction(settings, 7) as producer:
        producer.commit_transaction()
    with closing(kafka_broker(settings)) as broker:
        assert len(read(broker, 7)) == 7
        poll_until((broker,), lambda: broker.lag() in ({0: 7}, {0: 8}))  # offsets, the marker may be one
        broker.deliver(Checkpoint(offsets={0: 7}))
        poll_until((broker,), lambda: broker.lag() == {0: 0})


@pytest.mark.usefixtures("kafka")
def test_records_of_an_open_transaction_are_held_back_and_are_no_lag(make_settings):
    settings = make_settings(partitions=1)
    with transaction(settings, 50) as producer, closing(kafka_broker(settings)) as broker:
        poll_until((broker,), lambda: broker.held_back() == {0: 50})
        assert broker.lag() == {0: 0}
        producer.commit_transaction()
        assert len(read(broker, 50)) == 50
        poll_until((broker,), lambda: broker.held_back() == {0: 0})


@contextmanager
def transaction(settings, count):
    """A publisher with an open transaction of so many records."""
    address, name = settings.bootstrap_servers, settings.group_id + ".publisher"
    with closing(KafkaProducer(bootstrap_servers=address, transactional_id=name)) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        for number in range(count):
            producer.send(settings.beats_topic, b"%d" % number, key=b"source", partition=0).get(timeout=10)
        yield producer


def test_topics_are_made_once(kafka):
    settings = settings_on(kafka.address)
    made = list(create_topics(settings, TopicPlan(3, 1, 5)))
    assert len(made) == 7
    assert all("created" in line for line in made)
    assert all("there already" in line for line in create_topics(settings, TopicPlan(3, 1, 5)))
    assert retention_ms(settings, settings.beats_topic) == 5 * 3_600_000


def test_a_topic_whose_broker_stamps_the_records_does_not_have_the_times_of_beats(kafka, caplog):
    settings = settings_on(kafka.address)
    list(create_topics(settings, TopicPlan(1, 1, 5)))
    assert has_beat_times(settings)
    stamped = settings_on(kafka.address, beats_topic=settings.beats_topic + ".stamped")
    with closing(kafka_client(stamped).admin(stamped, COMMAND_SECONDS)) as admin:
        admin.create(stamped.beats_topic, 1, 1, {"message.timestamp.type": "LogAppendTime"})
    assert not has_beat_times(stamped)
    assert "are the broker's (LogAppendTime)" in caplog.text


def test_where_it_cannot_be_found_out_record_times_are_taken_for_those_of_beats_and_the_log_says_so(kafka, caplog):
    settings = settings_on(kafka.address)
    assert has_beat_times(settings)
    assert f"{settings.beats_topic}: message.timestamp.type could not be read" in caplog.text


@pytest.mark.parametrize("topic", ["state_topic", "profiles_topic"])
def test_a_topic_of_rows_with_more_partitions_than_the_beats_is_refused(kafka, topic):
    settings = settings_on(kafka.address)
    list(create_topics(settings, TopicPlan(4, 1, 5)))
    other = settings_on(kafka.address, **{topic: getattr(settings, topic)})
    with pytest.raises(RefusedError, match=f"has 4 partitions and .* name another MONITOR_{topic.upper()}"):
        list(create_topics(other, TopicPlan(2, 1, 5)))


@pytest.mark.parametrize("topic", ["state_topic", "profiles_topic"])
def test_a_topic_of_rows_follows_the_beats(kafka, topic):
    settings = settings_on(kafka.address)
    list(create_topics(settings, TopicPlan(1, 1, 5)))
    other = settings_on(kafka.address, **{topic: getattr(settings, topic)})
    made = list(create_topics(other, TopicPlan(3, 1, 5)))
    assert made[-1] == f"{getattr(settings, topic)}: extended from 1 to 3 partitions"


def test_missing_topics_are_named(broker):
    settings = settings_on(broker.address)
    needed = ("beats", "alerts", "dead_letters", "control", "state")
    assert missing_topics(settings) == [getattr(settings, f"{name}_topic") for name in needed]
    assert missing_topics(settings, profiles=True) == [*missing_topics(settings), settings.profiles_topic]
    with pytest.raises(BrokerError, match="topics create"):
        kafka_broker(settings)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_publisher_says_when_the_topic_is_not_there(kafka, client):
    settings = settings_on(kafka.address, kafka_client=client)
    with closing(Publisher(settings)) as publisher, pytest.raises(BrokerError, match=settings.beats_topic):
        publisher.send(Message(settings.beats_topic, b"k", b"v"))


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize(("topic", "content"), [("state_topic", "episode state"), ("profiles_topic", "profiles")])
def test_a_topic_of_rows_of_another_group_is_refused(make_settings, topic, content):
    settings = make_settings(partitions=1)
    row = Message(getattr(settings, topic), b"bed", b"row", (("group", b"other\x1b"),), partition=0)
    with closing(Publisher(settings)) as publisher:
        publisher.send(row)
        publisher.flush()
    with closing(KafkaBroker(settings, profiles=True)) as broker:
        sentence = f"{row.topic} has the {content} of group other.*: name another MONITOR_{topic.upper()} for"
        with pytest.raises(RefusedError, match=sentence):
            read_until_assigned(broker)


@pytest.mark.usefixtures("kafka")
def test_a_row_of_another_group_does_not_stop_a_group_that_has_read_before(make_settings, caplog):
    settings = make_settings(partitions=1)
    own = Message(settings.state_topic_name, b"bed", b"row", (("group", settings.group_id.encode()),), partition=0)
    publish(settings, [(b"beat", [])])
    with closing(kafka_broker(settings)) as broker:
        assert len(read(broker, 1)) == 1
        broker.deliver(Checkpoint((own,), offsets={0: 1}))
    with closing(Publisher(settings)) as publisher:
        for key in (b"bed", b"other"):
            publisher.send(Message(settings.state_topic_name, key, b"hostile", (("group", b"x"),), partition=0))
        publisher.flush()
    with closing(kafka_broker(settings)) as broker:
        assigned = {}
        while not assigned:
            assigned |= broker.poll().assigned
    assert assigned[0].state == {b"bed": b"row"}
    assert "has the episode state of group x: these rows are not used" in caplog.text


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_a_time_that_the_broker_refuses_is_replaced(make_settings, delivery, caplog):
    settings = make_settings(partitions=1, delivery=delivery)
    deadline = time.monotonic() + LIMIT_SECONDS
    with closing(kafka_broker(settings)) as broker:
        set_oldest(settings, 1)
        while "the broker refuses the time of this machine" not in caplog.text:  # a new limit holds after a moment
            deliver_one_alert(broker, settings, deadline)
        set_oldest(settings, 2**62)  # a limit of 1 ms may refuse the marks of transactions as well
        while not any(
            abs(alert.timestamp - 1000 * time.time()) > 3_000_000
            for alert in read_committed(settings, settings.alerts_topic)
        ):
            deliver_one_alert(broker, settings, deadline)


def deliver_one_alert(broker, settings, deadline):
    assert time.monotonic() < deadline
    late = bytes(500_000)  # so much that the broker has it after more than a millisecond
    with suppress(BrokerError):
        read_until_assigned(broker)
        broker.deliver(Checkpoint((Message(settings.alerts_topic, b"bed", late),), offsets={0: 0}))


def set_oldest(settings, milliseconds):
    """Let the broker refuse alerts whose time is further back than that."""
    config = {"message.timestamp.before.max.ms": str(milliseconds)}
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)) as admin:
        admin.alter_configs([ConfigResource("TOPIC", settings.alerts_topic, config)])


@pytest.mark.usefixtures("kafka")
def test_a_topic_that_was_made_again_begins_at_its_first_record_with_the_old_state(make_settings):
    settings = make_settings(partitions=1)
    publish(settings, [(b"one", []), (b"two", [])])
    with closing(kafka_broker(settings)) as broker:
        read(broker, 2)
        row = Message(settings.state_topic_name, b"bed", b"open", partition=0)
        broker.deliver(Checkpoint((row,), (), {0: 2}, {0: StreamTime.at(7)}))
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)) as admin:
        admin.delete_topics([settings.beats_topic])
        while not next(iter(create_topics(settings, TopicPlan(1, 1, 1)))).endswith("created, 1 partition"):
            pass
    publish(settings, [(b"new", [])])
    with closing(kafka_broker(settings)) as broker:
        assigned, deadline = {}, time.monotonic() + LIMIT_SECONDS
        while not assigned and time.monotonic() < deadline:
            assigned |= broker.poll().assigned
    assert assigned == {0: Assigned(0, None, {b"bed": b"open"}, atomic=True)}


def test_a_missing_topic_is_named_at_once(make_settings):
    settings = make_settings(partitions=1)
    began = time.monotonic()
    with closing(Publisher(settings)) as publisher, pytest.raises(BrokerError) as caught:
        publisher.send(Message("nowhere", b"bed", b""))
    assert str(caught.value) == (
        f"no topic nowhere at {settings.bootstrap_servers}: `ecg-monitor topics create` makes it"
    )
    assert time.monotonic() - began < 20
