"""Whole fetches decoded at once give exactly what the client's own path gives, record by record."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords, memory_records
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from monitor.broker.blocks import RecordBlock, read_headers
from monitor.broker.client_errors import LEAKS
from monitor.broker.kafka_python import fetching
from monitor.broker.kafka_python.header_names import accept_any_header_name

PLACE = TopicPartition("ecg.beats", 3)
CONTROL, STAMPED = 0x20, 0x08
BEAT = bytes(range(256)) * 2 + bytes(48)


@pytest.fixture(autouse=True, scope="module")
def _lenient():
    """The client as the daemon leaves it once a header's name was not UTF-8."""
    kept = memory_records.DefaultRecordBatch
    accept_any_header_name()
    yield
    memory_records.DefaultRecordBatch = kept


class Batch(NamedTuple):
    """What one produced batch holds; `gap` offsets are missing before it, as compaction leaves them."""

    records: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]]
    codec: int = 0
    producer: int = -1
    is_transactional: bool = False
    marker: int | None = None  # 0 aborts, 1 commits: a control batch
    is_stamped: bool = False
    gap: int = 0
    epoch: int = 7


class Aborted(NamedTuple):
    producer_id: int
    first_offset: int


def built(batch: Batch, base: int) -> bytes:
    records = batch.records
    if batch.marker is not None:
        records = [(5, struct.pack(">hh", 0, batch.marker), b"\0\0\0\0\0\0", [])]
    builder = DefaultRecordBatchBuilder(
        2, batch.codec, batch.is_transactional, batch.producer, 0 if batch.producer >= 0 else -1, -1, 10**7
    )
    for delta, (time, key, value, headers) in enumerate(records):
        builder.append(delta, 1000 + time, key, value, headers)
    raw = builder.build()
    struct.pack_into(">q", raw, 0, base)
    struct.pack_into(">i", raw, 12, batch.epoch)
    attributes = struct.unpack_from(">h", raw, 21)[0]
    attributes |= (CONTROL if batch.marker is not None else 0) | (STAMPED if batch.is_stamped else 0)
    struct.pack_into(">h", raw, 21, attributes)
    return sealed(raw)


def sealed(raw: bytearray) -> bytes:
    struct.pack_into(">I", raw, 17, calc_crc32c(memoryview(raw)[21:]))
    return bytes(raw)


def fetch(batches: list[Batch], first: int = 100) -> bytes:
    pieces, base = [], first
    for batch in batches:
        base += batch.gap
        pieces.append(built(batch, base))
        base += 1 if batch.marker is not None else max(1, len(batch.records))
    return b"".join(pieces)


def drained(kind: Any, raw: bytes, sizes: list[int], offset: int = 100, **options: Any) -> tuple[list[Any], Any]:
    """Every record in pieces of these sizes; then the position, or the error, that it ends with."""
    part = kind(offset, PLACE, MemoryRecords(raw), isolation_level=IsolationLevel.READ_COMMITTED, **options)
    found: list[Any] = []
    for count in range(len(raw) + 10):
        if not part:
            return found, (part.next_fetch_offset, part.leader_epoch)
        try:
            for block in part.take(sizes[count % len(sizes)]):
                found += rows(block if isinstance(block, RecordBlock) else RecordBlock.of([block]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            return found, type(error)
    raise AssertionError("it never ends")


class Alone(fetching.PartitionBlocks):
    """Cannot go the client's way."""

    def _unpack_records(self, *_: Any) -> Any:
        raise AssertionError("an ordinary fetch goes this path to its end")
        yield


def rows(block: RecordBlock) -> list[Any]:
    assert block.partition == PLACE.partition
    headers = [tuple(map(tuple, some)) for some in block.headers]
    return list(zip(block.offset.tolist(), block.time.tolist(), block.key, block.value, headers, strict=True))


def same(raw: bytes, sizes: list[int], offset: int = 100, **options: Any) -> tuple[list[Any], Any]:
    ours = drained(fetching.PartitionBlocks, raw, sizes, offset, **options)
    assert ours == drained(Fetcher.PartitionRecords, raw, sizes, offset, **options)
    return ours


keys = st.none() | st.binary(max_size=12) | st.binary(min_size=60, max_size=300)
values = st.none() | st.just(BEAT) | st.binary(max_size=80) | st.integers(0, 2000).map(bytes)
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=9)), max_size=3)
times = st.integers(0, 90) | st.integers(-5, 2**40)
records = st.tuples(times, keys, values, headers | st.just([]))
far_records = st.tuples(st.integers(-(2**62), 2**62), keys, values, headers)
plain = st.builds(
    Batch,
    st.lists(records, min_size=1, max_size=12) | st.lists(records, min_size=1, max_size=2).map(lambda some: some * 60),
    codec=st.integers(0, 4),
    producer=st.sampled_from([-1, 4, 5]),
    is_transactional=st.just(False),
    marker=st.none(),
    is_stamped=st.booleans(),
    gap=st.integers(0, 3),
    epoch=st.sampled_from([7, 7, 8]),
)
of_transactions = st.builds(
    Batch,
    st.lists(records, min_size=1, max_size=4),
    codec=st.sampled_from([0, 3]),
    producer=st.sampled_from([4, 5]),
    is_transactional=st.just(True),
    marker=st.sampled_from([None, None, 0, 1]),
    is_stamped=st.booleans(),
    gap=st.integers(0, 3),
    epoch=st.just(8),
)
fetches = st.lists(plain | of_transactions, max_size=6)
aborted = st.lists(st.builds(Aborted, st.sampled_from([4, 5]), st.integers(95, 130)), max_size=3)
pieces = st.lists(st.sampled_from([1, 2, 3, 7, 50, 1000]), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(fetches, pieces, st.integers(100, 125), aborted)
@example([Batch([(0, b"k", BEAT, [])] * 3000)], [1000], 100, [])
@example([Batch([(time, b"k%d" % time, BEAT, []) for time in range(300)])], [7], 163, [])
@example(
    [Batch([(0, b"k", BEAT, [])] * 5, producer=4, is_transactional=True), Batch([], marker=0, producer=4)],
    [2],
    100,
    [Aborted(4, 100)],
)
def test_every_fetch_gives_what_the_clients_own_path_gives(batches, sizes, offset, ended):
    raw = fetch(batches)
    alone = drained(Alone, raw, sizes, offset, aborted_transactions=ended)
    assert alone == drained(Fetcher.PartitionRecords, raw, sizes, offset, aborted_transactions=ended)


@settings(max_examples=150, deadline=None)
@given(fetches.filter(bool), pieces, st.data())
def test_bytes_that_were_cut_off_or_damaged_give_the_same_records_and_the_same_error(batches, sizes, data):
    raw = bytearray(fetch(batches))
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw = raw[:place]
    else:
        raw[place] ^= data.draw(st.integers(1, 255))
    same(bytes(raw), sizes)


@settings(max_examples=150, deadline=None)
@given(st.lists(records | far_records, min_size=1, max_size=5), pieces, st.data())
def test_a_batch_whose_checksum_is_right_and_whose_records_are_not_gives_the_same_error(some, sizes, data):
    raw = bytearray(fetch([Batch(some)]))
    raw[data.draw(st.integers(21, len(raw) - 1))] = data.draw(st.integers(0, 255))
    same(sealed(raw), sizes)


many = st.lists(plain | of_transactions, min_size=1, max_size=4).map(lambda some: (some * 40)[:40])


@settings(max_examples=40, deadline=None)
@given(many, pieces, st.integers(100, 200), aborted)
@example([Batch([(time, b"k%d" % time, BEAT, []) for time in range(70)])] * 40, [1000], 100, [])
@example([Batch([(time, b"k", bytes(9000), []) for time in range(3)])] * 40, [1000], 100, [])
def test_many_batches_are_read_side_by_side_and_give_the_same(batches, sizes, offset, ended):
    raw = fetch(batches)
    alone = drained(Alone, raw, sizes, offset, aborted_transactions=ended)
    assert alone == drained(Fetcher.PartitionRecords, raw, sizes, offset, aborted_transactions=ended)


@settings(max_examples=60, deadline=None)
@given(st.lists(records | far_records, min_size=1, max_size=4), pieces, st.integers(0, 39), st.data())
def test_one_wrong_batch_among_many_gives_the_same_records_and_the_same_error(some, sizes, which, data):
    batches = [bytearray(fetch([Batch(some)], 100 + count * len(some))) for count in range(40)]
    batches[which][data.draw(st.integers(21, len(batches[which]) - 1))] = data.draw(st.integers(0, 255))
    same(b"".join(map(sealed, batches)), sizes)


def test_a_fetch_without_records_moves_on_behind_what_is_hidden():
    batches = [Batch([(0, b"k", BEAT, [])], producer=4, is_transactional=True), Batch([], marker=0, producer=4)]
    found, (position, _) = same(fetch(batches), [10], aborted_transactions=[Aborted(4, 100)])
    assert (found, position) == ([], 102)


def test_an_old_message_format_is_left_to_the_client():
    raw = bytearray(fetch([Batch([(0, b"k", BEAT, [])])]))
    raw[16] = 1
    assert same(bytes(raw), [10]) == ([], CorruptRecordError)


def test_a_header_whose_name_is_not_utf_8_is_read_and_written_out():
    raw = bytearray(fetch([Batch([(0, b"k", BEAT, [("nn", b"v")])])]))
    at = raw.index(b"nn")
    raw[at] = 0xFF
    found, _ = drained(fetching.PartitionBlocks, sealed(raw), [10])
    assert found == [(100, 1000, b"k", BEAT, (("\\xffn", b"v"),))]
    assert read_headers(b"\0") == ()


@pytest.mark.parametrize("sources", [1, 60])
def test_the_records_of_several_partitions_stand_together(sources):
    batch = Batch([(0, b"source-%d" % (count % sources), BEAT, []) for count in range(200)])
    part = fetching.PartitionBlocks(100, PLACE, MemoryRecords(fetch([batch])))
    blocks = [block for size in (30, 100, 100) for block in part.take(size)]
    assert [len(block) for block in blocks] == [30, 100, 70]
    assert np.concatenate([block.offset for block in blocks]).tolist() == list(range(100, 300))


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_compressed_bytes_that_are_damaged_give_the_same_error_and_it_is_one_of_the_clients_known_leaks(codec):
    raw = bytearray(fetch([Batch([(0, b"k", BEAT, [])] * 50, codec=codec)]))
    raw[70:90] = bytes([255]) * 20
    found, error = same(sealed(raw), [10])
    assert found == []
    assert issubclass(error, LEAKS)


def test_a_fetch_that_would_inflate_beyond_bounds_is_left_to_the_client():
    batches = [Batch([(0, b"k", bytes(90_000), [])] * 100, codec=4) for _ in range(4)]
    part = fetching.PartitionBlocks(100, PLACE, MemoryRecords(fetch(batches)))
    assert len(part.take(10)) == 10
    found, _ = same(fetch(batches), [50])
    assert len(found) == 400
