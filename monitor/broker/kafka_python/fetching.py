"""Decodes whole fetches with NumPy, where the client makes an object of every record.

kafka-python 3.0.12 spends some 5 µs on a record of 560 bytes, a quarter of a second on what it fetches in a
hundredth. Here a fetch is walked batch by batch, its records are found by their lengths, and their fields are read
column by column. What each record is, which are skipped (control records, aborted transactions, those before the
offset that was asked for), and what fails, is exactly as with the client's own path: whatever looks unusual here (an
old message format, a checksum or a length that is wrong) goes that way, and the records or the error come from there.

It steps into the client where the fetcher looks up its record class, which is nobody's promise: it does so only for
files of the client that it knows byte by byte, and leaves every other version to itself, with one warning.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kafka
from kafka.consumer import fetcher
from kafka.protocol import api_message, frame, parser
from kafka.protocol.consumer import IsolationLevel
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.schemas.fields.codecs import types
from kafka.record import default_records, memory_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import calc_crc32c

from monitor.broker.blocks import RecordBlock
from monitor.broker.kafka_python.record_batch import BatchHeader, Fetch, UnusualError, WireBatch, decode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from kafka import KafkaConsumer

log = logging.getLogger(__name__)

KNOWN = {  # SHA-256 of the files below
    "97f263155575696177c8f734026c807ba67686a7694004d878cd2c5a0c9352ec",  # 3.0.12
}
FILES = (fetcher, memory_records, default_records, frame, api_message, parser, types)

LARGE_BYTES = 64 * 1024
INFLATED_BYTES = 32 * 1024 * 1024  # of one fetch; the client's own path inflates batch by batch
_LOG_OVERHEAD = 12  # a batch's base offset and length
_MAGIC = 2


def is_known(modules: Iterable[Any], digests: Collection[str], otherwise: str) -> bool:
    """Whether these files of the client are known, byte by byte; a warning tells what follows if they are not."""
    found = hashlib.sha256()
    for module in modules:
        found.update(Path(module.__file__).read_bytes())
    if found.hexdigest() in digests:
        return True
    log.warning("kafka-python %s is not known here: %s", kafka.__version__, otherwise)
    return False


@cache
def fits() -> bool:
    """Whether the client is one that is known here; the warning comes once."""
    return is_known(FILES, KNOWN, "its records are read one by one, slowly")


def step_in(consumer: KafkaConsumer) -> None:
    """From now on `poll` brings Blocks for this consumer, if it fits; `max_poll_records` still counts records."""
    if fits():
        consumer._fetcher.PartitionRecords = PartitionBlocks  # noqa: SLF001 - the seam
        KafkaBytes.read = _read


def _read(message: Any, size: int | None = None) -> bytes | memoryview:
    """What the client reads from an answer of the broker's; a large one, which only a fetch is, uncopied.

    kafka-python 3.0.12 copies that twice, and once more as it cuts it up.
    """
    start, end = message._idx, len(message)  # noqa: SLF001
    message._idx = end if size is None else min(start + size, end)  # noqa: SLF001
    rest = memoryview(message)[start : message._idx]  # noqa: SLF001
    return rest if size is None and len(rest) > LARGE_BYTES else bytes(rest)


def room(transport: Any) -> memoryview | None:
    """Where a connection's next bytes belong, all but the last of a large answer that is on its way; None elsewhere.

    kafka-python 3.0.12 reads them, joins them and copies them there, and holds the interpreter's lock for the last two.
    """
    frame = getattr(getattr(transport._protocol, "parser", None), "_rbuffer", None)  # noqa: SLF001
    if frame is None or KafkaBytes.read is not _read or len(frame) - frame.tell() <= LARGE_BYTES:
        return None
    return memoryview(frame)[frame.tell() : -1]


def fill(transport: Any, count: int) -> None:
    """So many bytes have come there."""
    frame = transport._protocol.parser._rbuffer  # noqa: SLF001
    frame.seek(frame.tell() + count)


def ask_for(consumer: KafkaConsumer, min_bytes: int, max_wait_ms: int) -> None:
    """What the next fetch says: the fetcher looks at its settings each time."""
    consumer._fetcher.config |= {"fetch_min_bytes": min_bytes, "fetch_max_wait_ms": max_wait_ms}  # noqa: SLF001


def has_more(consumer: KafkaConsumer) -> bool:
    """Whether records were fetched that no poll has brought yet, as far as can be told without looking into them.

    A small answer may be of control records alone. False where the client is not known, or reads by itself.
    """
    known = consumer._fetcher  # noqa: SLF001
    if known.PartitionRecords is not PartitionBlocks:
        return False
    sizes = (len(one.partition_data.records or b"") for one in known._completed_fetches.copy())  # noqa: SLF001
    return bool(known._next_partition_records) or any(size > LARGE_BYTES for size in sizes)  # noqa: SLF001


class Taken:
    """What the fetcher takes for a list of so many records, and what is in it is a Block of them."""

    def __init__(self, block: RecordBlock) -> None:
        self._block = block

    def __len__(self) -> int:
        return len(self._block)

    def __iter__(self) -> Iterator[RecordBlock]:
        return iter((self._block,))


class PartitionBlocks(fetcher.Fetcher.PartitionRecords):  # type: ignore[misc]
    """One partition's share of a fetch, handed out as Blocks."""

    aborted_transactions: deque[Any]
    aborted_producer_ids: set[int]

    def __init__(self, fetch_offset: int, tp: Any, records: Any, **options: Any) -> None:
        super().__init__(fetch_offset, tp, records, **options)
        self._raw = records
        self._fetch: Fetch | None = None
        self._given = 0  # rows of it
        self._inflated = 0
        self._is_unusual = False

    def take(self, n: int | None = None) -> Any:
        """The next n records at most; empty at the end, after which nothing is left of it."""
        if self._fetch is None and not self._is_unusual:
            self._read()
        if self._fetch is None:
            records = super().take(n)
            return Taken(RecordBlock.of(records)) if records else []
        block, first = self._fetch.block, self._given
        stop = self._given = len(block) if n is None else min(len(block), first + n)
        self.records_read += stop - first
        if stop == len(block):
            self.next_fetch_offset, self.leader_epoch = self._fetch.next_offset, self._fetch.last_epoch
            self.drain()
        else:
            self.next_fetch_offset = int(block.offset[stop - 1]) + 1
            self.leader_epoch = int(self._fetch.epoch[stop - 1])
        return Taken(block.part(first, stop)) if stop > first else []

    def _read(self) -> None:
        raw, self._raw = self._raw._buffer, None  # noqa: SLF001 - from its beginning, before anything was read
        transactions = deque(self.aborted_transactions), set(self.aborted_producer_ids)
        self._is_unusual = True  # until it turns out well, whatever is raised
        try:
            self._fetch = decode(self._batches(raw), self.topic_partition.partition, self.fetch_offset)
            self._is_unusual, self.bytes_read = False, len(raw)
        except Exception:
            log.debug("a fetch of %s is left to the client", self.topic_partition, exc_info=True)
        finally:
            if self._is_unusual:
                self.aborted_transactions, self.aborted_producer_ids = transactions

    def _batches(self, raw: Any) -> Iterator[WireBatch]:
        """Every batch up to the end, or to where the fetch was cut off."""
        view, at = memoryview(raw), 0
        while len(view) - at >= _LOG_OVERHEAD:
            end = at + _LOG_OVERHEAD + int.from_bytes(view[at + 8 : at + 12], signed=True)
            if end > len(view):
                break
            yield self._batch(raw, view, at, end)
            at = end

    def _batch(self, raw: Any, view: memoryview, at: int, end: int) -> WireBatch:
        if end - at < DefaultRecordBatch.HEADER_STRUCT.size or view[at + 16] != _MAGIC:
            raise UnusualError
        header = BatchHeader(*DefaultRecordBatch.HEADER_STRUCT.unpack_from(view, at))
        if self.check_crcs and calc_crc32c(view[at + DefaultRecordBatch.ATTRIBUTES_OFFSET : end]) != header.crc:
            raise UnusualError
        is_kept = not header.attributes & DefaultRecordBatch.CONTROL_MASK
        if self.isolation_level == IsolationLevel.READ_COMMITTED and header.producer_id >= 0:
            is_kept &= not self._is_aborted(header, view[at:end])
        if is_kept and header.attributes & DefaultRecordBatch.CODEC_MASK:
            batch = DefaultRecordBatch(view[at:end])
            batch._maybe_uncompress()  # noqa: SLF001 - with the client's own codecs
            self._inflated += len(batch._buffer)  # noqa: SLF001
            if self._inflated > INFLATED_BYTES:
                raise UnusualError
            return WireBatch(header, batch._buffer, 0, len(batch._buffer), is_kept)  # noqa: SLF001
        return WireBatch(header, raw, at + DefaultRecordBatch.HEADER_STRUCT.size, end, is_kept)

    def _is_aborted(self, header: BatchHeader, batch: memoryview) -> bool:
        """In the client's own steps: transactions begin before a batch, and end with a control record."""
        self._consume_aborted_transactions_up_to(header.base_offset + header.last_offset_delta)
        if not header.attributes & DefaultRecordBatch.CONTROL_MASK:
            is_transactional = header.attributes & DefaultRecordBatch.TRANSACTIONAL_MASK
            return bool(is_transactional and header.producer_id in self.aborted_producer_ids)
        if self._contains_abort_marker(DefaultRecordBatch(batch)):
            self.aborted_producer_ids.discard(header.producer_id)
        return False
