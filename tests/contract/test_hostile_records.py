"""Records that somebody writes to do harm: they cost themselves and nobody else, with both Kafka clients."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Producer

from monitor.beats.parse import parse
from monitor.broker import PeriodReader, Reader
from monitor.broker.limits import MAX_INFLATED_BYTES, StepLimit
from monitor.broker.reading.period import STEP
from monitor.deadletters.letter import dead_letter, read
from monitor.records.record import Checkpoint, Message
from tests.conftest import CLIENTS
from tests.fakes import kafka_broker

pytestmark = pytest.mark.usefixtures("kafka")
LIMIT_SECONDS = 60
HOUR_MS = 3_600_000
BEAT = b"\x00\x00\x80?" * 140
CODECS = ["gzip", "zstd", "lz4", "snappy"]


@pytest.fixture(params=CLIENTS)
def make_settings(request, make_settings):
    """Settings for each of the two Kafka clients."""
    return partial(make_settings, kafka_client=request.param)


def write(settings, records, codec="none", topic=None):
    """Write records (key, value, headers) as one batch to partition 0."""
    failed = []
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "compression.type": codec,
            "message.max.bytes": 1_000_000_000,
            "batch.size": 2_000_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "linger.ms": 60_000,  # `flush` ends it
        }
    )
    for key, value, headers in records:
        producer.produce(
            topic or settings.beats_topic,
            value,
            key,
            partition=0,
            headers=headers,
            on_delivery=lambda error, _: failed.append(error),
        )
    producer.flush(LIMIT_SECONDS)
    assert set(failed) == {None}


def polls(broker, through):
    """The polls that bring records, until one has the offset `through` of partition 0."""
    found, deadline = [], time.monotonic() + LIMIT_SECONDS
    while not found or int(found[-1].offset[-1]) < through:
        assert time.monotonic() < deadline, found
        records = broker.poll()
        found += [records] if len(records) else []
    return found


def resident_mib():
    """The most memory that this process has had, so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def reset_resident():
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


@pytest.mark.parametrize("count", [1, 700])
def test_a_batch_that_would_fill_the_memory_is_set_aside_and_names_its_offsets(make_settings, count):
    settings = make_settings(partitions=1)
    write(settings, [(b"bed", BEAT, None)])
    write(settings, [(b"bed", bytes((100 << 20) // count), None)] * count, "zstd")
    write(settings, [(b"bed", BEAT, None)])
    reset_resident()
    before = resident_mib()
    with closing(kafka_broker(settings)) as broker:
        found = polls(broker, count + 1)
        assert resident_mib() - before < 150  # with all of it in memory, some 300
        offsets = [offset for records in found for offset in records.offset.tolist()]
        assert offsets == [0, count, count + 1]
        ((aside, row),) = [(records, row) for records in found for row in records.set_aside]
        beats, rejected = parse(aside)
        assert len(beats) + len(rejected) == len(aside)
        (why,) = [one for one in rejected if one.row == row]
        assert (why.reason, str(MAX_INFLATED_BYTES) in why.detail) == ("too-large", True)
        assert ("offset 1 " if count == 1 else f"offsets 1 to {count} ") in why.detail
        message = dead_letter(aside, why, settings.dead_letters_topic, 0)
        broker.deliver(Checkpoint((message,), (), {0: count + 2}))
    with Reader(settings, settings.dead_letters_topic, from_beginning=True) as reader:
        (letter,) = map(read, reader.until_end())
    assert (letter.value, letter.refusal.offset, letter.refusal.omitted) == (None, count, "key, value and headers")


@pytest.mark.parametrize("codec", CODECS)
def test_a_step_ends_at_a_number_of_bytes_whatever_the_codec(make_settings, codec):
    settings = make_settings(partitions=1)
    full = StepLimit.full(settings)
    for _ in range(4):
        write(settings, [(b"bed", b"z" * 60_000, None)] * 256, codec)
    write(settings, [(b"bed", BEAT, None)])
    with closing(kafka_broker(settings)) as broker:
        found = polls(broker, 1024)
    sizes = [int(records.value.size.sum()) for records in found]
    assert sum(sizes) == 1024 * 60_000 + len(BEAT)
    assert max(sizes) < full.bytes + 128 * 60_000


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
def test_a_record_with_a_large_value_is_set_aside_by_itself(make_settings, codec):
    settings = make_settings(partitions=1)
    write(settings, [(b"bed", BEAT, None), (b"bed", bytes(9_000_000), None), (b"bed", BEAT, None)], codec)
    with closing(kafka_broker(settings)) as broker:
        (records,) = polls(broker, 2)
    assert [one.last_offset for one in records.set_aside.values()] == [1]
    assert list(records.value)[::2] == [BEAT, BEAT]


def steps_of_all_times(settings):
    """The steps with records of the whole beats topic, as a backtest reads it."""
    with closing(PeriodReader(settings, settings.beats_topic, 0, int(1000 * time.time()) + HOUR_MS)) as reader:
        return [records for records in reader.steps() if len(records)]


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
@pytest.mark.parametrize("size", [9_000_000, 100 << 20])
def test_in_a_period_a_row_stands_for_what_is_too_large_to_be_read(make_settings, codec, size):
    settings = make_settings(partitions=1)
    write(settings, [(b"bed", BEAT, None)])
    write(settings, [(b"bed", bytes(size), None)], codec)
    write(settings, [(b"bed", BEAT, None)])
    steps = steps_of_all_times(settings)
    rows = [row for one in steps for row in zip(one.offset.tolist(), one.value, strict=True)]
    assert [offset for offset, _ in rows] == [0, 1, 2]
    assert [value == BEAT for _, value in rows] == [True, False, True]


@pytest.mark.parametrize("codec", CODECS)
def test_a_step_of_a_period_ends_at_a_number_of_bytes_whatever_the_codec(make_settings, codec):
    settings = make_settings(partitions=1)
    for _ in range(4):
        write(settings, [(b"bed", b"z" * 60_000, None)] * 256, codec)
    sizes = [int(records.value.size.sum()) for records in steps_of_all_times(settings)]
    assert sum(sizes) == 1024 * 60_000
    assert max(sizes) < STEP.bytes + 128 * 60_000


def test_a_record_of_many_headers_and_one_with_a_long_key_go_to_the_dead_letters(make_settings):
    settings = make_settings(partitions=1)
    write(settings, [(b"bed", b"{", [("", b"")] * 5000)], "zstd")
    write(settings, [(b"k" * 3_000_000, b"{", None)], "zstd")
    write(settings, [(b"bed", BEAT, None)])
    with closing(kafka_broker(settings)) as broker:
        letters = []
        for records in polls(broker, 2):
            beats, rejected = parse(records)
            letters += [dead_letter(records, one, settings.dead_letters_topic, 0) for one in rejected]
        assert len(beats) == 1
        broker.deliver(Checkpoint((*letters, Message(settings.alerts_topic, b"bed", b"alert")), (), {0: 3}))
    with Reader(settings, settings.dead_letters_topic, from_beginning=True) as reader:
        found = [read(record).refusal.offset for record in reader.until_end()]
    assert found == [0, 1]


class NotUtf8(str):
    """A header's name as a publisher in another language may write it."""

    __slots__ = ()

    def encode(self, *_):
        return b"\xff\xfe"


@pytest.mark.parametrize("topic", ["control_topic", "state_topic"])
def test_nothing_on_the_control_or_the_state_topic_stops_a_monitor_from_starting(make_settings, topic):
    from kafka import KafkaProducer  # noqa: PLC0415 - confluent-kafka cannot write such a name

    settings = make_settings(partitions=1)
    name = getattr(settings, topic)
    with closing(KafkaProducer(bootstrap_servers=settings.bootstrap_servers)) as producer:
        producer.send(name, b"{}", key=b"x", headers=[(NotUtf8("?"), b"1")], partition=0)
    write(settings, [(b"bomb", bytes(100 << 20), None)], "zstd", name)
    write(settings, [(b"k" * 2_000_000, b"{}", None), (b"large", bytes(2_000_000), None)], "zstd", name)
    write(settings, [(b"threshold/bed", b'{"threshold": 2}', None)], topic=name)
    write(settings, [(b"bed", BEAT, None)])
    with closing(kafka_broker(settings)) as broker:
        first = broker.poll()
        polls_left = [] if len(first) else polls(broker, 0)
        seen = [first, *polls_left]
    if topic == "control_topic":
        (last,) = [one for records in seen for one in records.control_records if one.key == b"threshold/bed"]
        assert last.value == b'{"threshold": 2}'
        assert all(len(one.value or b"") <= 65_537 for records in seen for one in records.control_records)
    else:
        (assigned,) = [records.assigned[0] for records in seen if records.assigned]
        assert assigned.state[b"threshold/bed"] == b'{"threshold": 2}'
        assert all(len(key) < 300 and len(value) < 5000 for key, value in assigned.state.items())


def test_many_large_control_values_do_not_fill_the_memory(make_settings):
    settings = make_settings(partitions=1)
    for number in range(20):
        rows = [(b"threshold/%d" % (10 * number + row), b"z" * 900_000, None) for row in range(10)]
        write(settings, rows, "zstd", settings.control_topic)
    reset_resident()
    before = resident_mib()
    with closing(kafka_broker(settings)) as broker:
        assert len(broker.poll().control_records) == 200
    assert resident_mib() - before < 250  # the library holds what came in one answer


def test_an_open_transaction_on_the_state_topic_delays_no_other_partition(make_settings):
    settings = make_settings(partitions=2)
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "transactional.id": settings.group_id + "-x"})
    producer.init_transactions(LIMIT_SECONDS)
    producer.begin_transaction()
    producer.produce(settings.state_topic, b"{}", b"bed", partition=1)
    producer.flush(LIMIT_SECONDS)
    with closing(kafka_broker(settings)) as broker:
        read_until(broker, lambda: 0 in broker.lag())
        for _ in range(5):
            write(settings, [(b"bed", BEAT, None)])
            began = time.monotonic()
            read_until(broker, lambda: False, 1)
            assert time.monotonic() - began < 10.0
        producer.abort_transaction(LIMIT_SECONDS)
        read_until(broker, broker.joined)


def read_until(broker, is_done, records=10**9):
    """Poll until so many records came, or until something else holds."""
    deadline, found = time.monotonic() + LIMIT_SECONDS, 0
    while found < records and not is_done():
        assert time.monotonic() < deadline
        found += len(broker.poll())
