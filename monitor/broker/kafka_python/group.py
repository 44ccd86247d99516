"""A member of the consumer group on kafka-python."""

from __future__ import annotations

import gc
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import MemberState

from monitor.beats.beat import FLOAT32_BYTES
from monitor.broker.client import ClientError, CommittedOffset, Membership
from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.client_errors import close_quietly, translated_connect_errors, translated_errors
from monitor.broker.kafka_python.columns import block_of
from monitor.broker.kafka_python.config import client_config
from monitor.broker.kafka_python.fair_poll import FairPoll
from monitor.broker.kafka_python.offsets import to_commit
from monitor.broker.kafka_python.patches import limit_bytes, read_any_batch
from monitor.broker.limits import StepLimit, fetch_pace, heartbeat_ms, weight

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kafka.structs import ConsumerGroupMetadata

    from monitor.broker.blocks import RecordBlock
    from monitor.settings import Settings

POLL_MS = 1000  # with less, a poll that times out during a join can leave the member without partitions for good
REQUEST_MS = 3000
COMMIT_TIMEOUT_MS = 5000
FETCH_BYTES = 4 * 1024 * 1024  # of one answer, at most: with the client's 50 MiB the monitor took 150 MiB more
FETCH_STEPS = 16  # or so many full steps of one partition, if they have fewer bytes
COLLECT_BYTES = 16 * 1024 * 1024  # of records, between two collections of garbage


class KafkaPythonGroup:
    """Implements `client.GroupClient`. A partition that may not be read is paused."""

    def __init__(self, settings: Settings, wait_seconds: float) -> None:
        self._topic = settings.beats_topic
        self._rebalances = RebalanceListener()
        self._started: set[int] = set()
        self._uncollected = 0  # bytes
        if known_versions.is_known():
            read_any_batch()
        with translated_connect_errors(settings):
            self._consumer = _build(settings, wait_seconds)
            step_bytes = limit_bytes(self._consumer, StepLimit.full(settings).bytes, weight)
            self._fair = None if step_bytes is None else FairPoll(self._consumer, step_bytes)
            self._consumer.subscribe([self._topic], listener=self._rebalances)
        self._member: ConsumerGroupMetadata = self._consumer.group_metadata()
        self._joined_as = self._member  # the last one in a stable group

    def poll(self, limit: StepLimit) -> list[RecordBlock]:
        with translated_errors("reading beats"):
            polled = self._polled(limit)
        self._check_member()
        blocks = [block_of(records) for tp, records in polled.items() if tp.partition in self._started]
        self._collect_garbage(blocks)
        return blocks

    def _polled(self, limit: StepLimit) -> Mapping[TopicPartition, Sequence[Any]]:
        if self._fair is not None:
            return self._fair.poll(POLL_MS, limit)
        found: Mapping[TopicPartition, Sequence[Any]]
        found = self._consumer.poll(timeout_ms=POLL_MS, max_records=limit.records)
        return found

    def has_more(self) -> bool:
        """Always False: the client's public API does not say whether more records wait."""
        return False

    def _check_member(self) -> None:
        """Read this member's generation; mark its partitions as changed if the group has removed it meanwhile.

        The caller asks for changed partitions afterwards. If a partition is revoked later still, the group refuses its
        offsets, because they come under the older generation.
        kafka-python 3.0.12 calls no listener when the group removes a member while it joins: the member comes back
        under another name, claims its old partitions and may get them, although others have read on meanwhile.
        """
        before, self._member = self._joined_as, self._consumer.group_metadata()
        is_same = self._member.member_id == before.member_id
        if not is_same or not 0 <= self._member.generation_id - before.generation_id <= 1:
            self._rebalances.add(self._started)
        if self.is_stable():
            self._joined_as = self._member

    def _collect_garbage(self, blocks: list[RecordBlock]) -> None:
        """Collect garbage after COLLECT_BYTES: the client leaves the broker's answers in cycles of futures and frames.

        These are few objects with many bytes, and the collector by itself counts objects.
        """
        self._uncollected += sum(block.bytes for block in blocks)
        if self._uncollected > COLLECT_BYTES:
            gc.collect()
            self._uncollected = 0

    def assignment(self) -> frozenset[int]:
        return frozenset(tp.partition for tp in self._consumer.assignment())

    def changed(self) -> set[int]:
        changed = self._rebalances.changed()
        self._started -= changed
        return changed

    def membership(self) -> Membership:
        """The member's id and group metadata, as of the last poll. The id is empty when the group has removed it.

        Then the metadata of kafka-python 3.0.12 names generation -1 and member ''. The broker accepts offsets under
        these names from anybody, so a member without an id must not commit: it could overwrite the offsets of the
        member that took over.
        """
        is_member = self._member.generation_id >= 0
        return Membership(self._member.member_id if is_member else "", self._member)

    def is_stable(self) -> bool:
        return bool(self._consumer.group_metadata().state == MemberState.STABLE)

    def start(self, offsets: Mapping[int, int]) -> None:
        with translated_errors("setting the offset"):
            for partition, offset in offsets.items():
                self._consumer.seek(self._tp(partition), offset)
                self._consumer.resume(self._tp(partition))
        self._started |= offsets.keys()

    def stop(self, partition: int) -> None:
        """Pause the partition. It also gets an offset, or the client would ask the group for one at every poll."""
        self._started.discard(partition)
        with translated_errors("pausing"):
            self._consumer.seek(self._tp(partition), 0)
            self._consumer.pause(self._tp(partition))

    def committed(self, partitions: Collection[int], seconds: float) -> dict[int, CommittedOffset | None]:
        found: dict[int, CommittedOffset | None] = {}
        with translated_errors("asking for committed offsets"):
            for partition in partitions:
                offset = self._consumer.committed(self._tp(partition), metadata=True, timeout_ms=int(1000 * seconds))
                found[partition] = None if offset is None else CommittedOffset(offset.offset, offset.metadata or "")
        return found

    def beginnings(self, partitions: Collection[int]) -> dict[int, int]:
        with translated_errors("asking for the first beats"):
            found = self._consumer.beginning_offsets(list(map(self._tp, partitions)), REQUEST_MS)
        return {tp.partition: offset for tp, offset in found.items()}

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        with translated_errors("asking for the end of the beats"):
            found = self._consumer.end_offsets(list(map(self._tp, partitions)), REQUEST_MS)
        return {tp.partition: offset for tp, offset in found.items()}

    def log_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """As of the last fetch, of the partitions that are read."""
        found = {}
        for partition in self._started & set(partitions):
            with suppress(ClientError), translated_errors("asking for the end of the log"):
                found[partition] = self._consumer.highwater(self._tp(partition))
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def partitions(self) -> int:
        with translated_errors(f"looking at {self._topic}"):
            return len(self._consumer.partitions_for_topic(self._topic) or ())

    def positions(self) -> dict[int, int]:
        found = {}
        for tp in self._consumer.assignment():
            # a partition may be revoked on the IO thread between these two calls
            with suppress(ClientError), translated_errors("asking for a position"):
                found[tp.partition] = self._consumer.position(tp, timeout_ms=0)
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def commit(self, offsets: Mapping[int, CommittedOffset]) -> None:
        given = {self._tp(one): to_commit(offset) for one, offset in offsets.items()}
        with translated_errors("committing offsets"):
            self._consumer.commit(given, timeout_ms=COMMIT_TIMEOUT_MS)

    def close(self) -> None:
        close_quietly("the consumer", lambda: self._consumer.close(autocommit=False, timeout_ms=COMMIT_TIMEOUT_MS))

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)


def _build(settings: Settings, wait_seconds: float) -> KafkaConsumer:
    batch_bytes = settings.batch_size * FLOAT32_BYTES
    min_bytes, wait_ms = fetch_pace(settings.max_wait_ms)
    return KafkaConsumer(
        **client_config(settings, wait_seconds),
        group_id=settings.group_id,
        auto_offset_reset=settings.offset_reset,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        # for the offsets as much as for the beats: only then does a request for committed offsets wait for a
        # transaction that is still open, such as that of a frozen member
        isolation_level="read_committed",
        partition_assignment_strategy=(CooperativeStickyAssignor,),
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=heartbeat_ms(settings.session_timeout_ms),
        max_poll_records=settings.batch_size,
        fetch_min_bytes=min_bytes,
        fetch_max_wait_ms=wait_ms,
        fetch_max_bytes=FETCH_BYTES,
        # the client returns all that it fetched of one partition before it turns to the next, see `fair_poll`
        max_partition_fetch_bytes=min(FETCH_BYTES, max(FETCH_BYTES // 16, FETCH_STEPS * batch_bytes)),
        metadata_max_age_ms=30_000,  # so that added partitions are found
        metrics_enabled=False,
    )


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Collects partitions that were assigned or revoked. Runs on the client's IO thread, where calls to Kafka fail."""

    def __init__(self) -> None:
        self._changed: deque[int] = deque()

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._changed.extend(tp.partition for tp in revoked)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._changed.extend(tp.partition for tp in assigned)

    def add(self, partitions: Collection[int]) -> None:
        self._changed.extend(partitions)

    def changed(self) -> set[int]:
        """Partitions that were assigned or revoked since the last call, which must be restored again."""
        return {self._changed.popleft() for _ in range(len(self._changed))}
