"""Kafka as the worker sees it: beats in, deliveries out, exactly once or at least once."""

from __future__ import annotations

import gc
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from kafka import TopicPartition
from kafka.errors import CommitFailedError

from monitor.broker.assignment import offset_to_commit
from monitor.broker.changelog import StateTopic
from monitor.broker.connection.client_config import close_quietly, retry_while_unavailable
from monitor.broker.consumer import GroupConsumer
from monitor.broker.control_topic import ControlTopic
from monitor.broker.delivery import AtLeastOnce, DeliveryStrategy, ExactlyOnce
from monitor.broker.topics import missing_topics
from monitor.errors import BrokerError, MonitorError, RewoundError
from monitor.records.record import BrokerFacts, Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka import OffsetAndMetadata

    from monitor.records.record import Records
    from monitor.settings import Settings

log = logging.getLogger(__name__)

SWEEP_BYTES = 64 * 1024 * 1024


class _Begun(NamedTuple):
    """What is under way, the offsets that follow it, and those that were to follow anyway."""

    checkpoint: Checkpoint
    offsets: dict[TopicPartition, OffsetAndMetadata]
    before: dict[int, OffsetAndMetadata]


class KafkaBroker:
    """One member of the group and its producer; the offsets of what had nothing to say follow now and then."""

    def __init__(self, settings: Settings) -> None:
        """Connect, check that the topics are there, read the control topic, ask for the group.

        Raises BrokerError where Kafka does not answer or topics are missing, RefusedError where settings cannot be.
        """
        missing = retry_while_unavailable(lambda: missing_topics(settings), settings)
        if missing:
            raise BrokerError(
                f"no topic {', '.join(missing)} at {settings.bootstrap_servers}: `ecg-monitor topics create` makes it"
            )
        self._topic = settings.beats_topic
        self._facts = BrokerFacts()
        self._commit_interval_seconds = settings.commit_interval_ms / 1000
        self._committed = time.monotonic()
        self._pending: dict[int, OffsetAndMetadata] = {}
        self._delivered: Checkpoint | None = None
        self._begun: _Begun | None = None
        self._is_settled = True
        self._unswept = 0  # bytes
        self._control = ControlTopic(settings)
        self._store = StateTopic(settings)
        self._intake = GroupConsumer(settings, self._store)
        courier = ExactlyOnce if settings.delivery == "exactly-once" else AtLeastOnce
        self._strategy: DeliveryStrategy = courier(settings, self._intake)
        retry_while_unavailable(self._strategy.prepare, settings)

    def poll(self) -> Records:
        if self._begun is None:
            self._prepare()
            self._commit_when_due()
        elif self._intake.must_assign():  # whose offsets and state what is under way may still change
            self._strategy.settle()
        records = self._intake.poll()
        self._sweep(sum(int(np.maximum(column.size, 0).sum()) for column in (records.key, records.value)))
        for partition, assigned in records.assigned.items():  # also where a new group begins, so that it stays there
            self._pending[partition] = offset_to_commit(assigned.offset, assigned.stream_time)
        return replace(records, control_records=self._control.changes())

    def has_more(self) -> bool:
        return self._intake.has_more()

    def _prepare(self) -> None:
        """After a failure, first of all: it settles what became of the last transaction."""
        try:
            self._strategy.prepare()
        except BrokerError:
            self._facts += BrokerFacts(commit_failures=1)
            raise

    def _sweep(self, size: int) -> None:
        """Collect garbage by what was read: the client leaves the broker's answers in cycles of futures and frames.

        They are few objects with many bytes, and by itself the collector counts objects.
        """
        self._unswept += size
        if self._unswept > SWEEP_BYTES:
            gc.collect()
            self._unswept = 0

    def begin(self, checkpoint: Checkpoint) -> None:
        if checkpoint and self._begun is None:
            self._begun = _Begun(checkpoint, self._due(checkpoint), dict(self._pending))
            self._strategy.begin(checkpoint, self._begun.offsets)

    def deliver(self, checkpoint: Checkpoint) -> None:
        if checkpoint is self._delivered:
            return
        if checkpoint:
            self._commit(checkpoint)
        else:
            self._pending |= _notes(checkpoint)
        self._delivered = checkpoint

    def _due(self, checkpoint: Checkpoint) -> dict[TopicPartition, OffsetAndMetadata]:
        """The offsets that follow a delivery, of partitions that are this member's to commit."""
        due = self._pending | _notes(checkpoint)
        return {TopicPartition(self._topic, one): offset for one, offset in due.items() if self._intake.owns(one)}

    def _commit_when_due(self) -> None:
        is_due = time.monotonic() - self._committed >= self._commit_interval_seconds
        if self._pending and is_due and self._intake.stable():  # a join changes the generation before the partitions
            self._commit(Checkpoint())

    def _commit(self, checkpoint: Checkpoint) -> None:
        _, offsets, before = self._begun or _Begun(checkpoint, self._due(checkpoint), dict(self._pending))
        self._begun = None
        if not offsets and not checkpoint:
            return
        try:
            is_done = self._strategy.deliver(checkpoint, offsets)
        except RewoundError as error:
            self._facts += BrokerFacts(commit_failures=1, rewinds=1)
            self._pending, self._committed, self._is_settled = {}, time.monotonic(), False
            self._intake.rewind(is_refused=_is_refused(error))
            raise
        except BrokerError:
            self._facts += BrokerFacts(commit_failures=1)
            raise
        for tp, offset in offsets.items():
            if self._pending.get(tp.partition) is before.get(tp.partition):  # else it began anew meanwhile
                self._pending.pop(tp.partition, None)
                self._pending |= {} if is_done else {tp.partition: offset}
        if is_done:
            self._is_settled = True
            self._intake.settle()
            self._committed = time.monotonic()
            self._facts += BrokerFacts(commits=1)

    def settled(self) -> bool:
        return self._is_settled or self._intake.is_idle()

    def lag(self) -> Mapping[int, int]:
        return self._intake.lag()

    def joined(self) -> bool:
        return self._intake.joined()

    def facts(self) -> BrokerFacts:
        own, self._facts = self._facts, BrokerFacts()
        return own + self._intake.facts()

    def close(self) -> None:
        """Commit what was delivered, leave the group; what cannot be committed now will be read again."""
        try:
            if self._begun is not None:
                self._commit(self._begun.checkpoint)
            if self._intake.stable():
                self._commit(Checkpoint())
        except MonitorError as error:
            log.warning("%s: the last beats will be read again", error)
        for part in (self._intake, self._strategy, self._store, self._control):
            close_quietly("the connections", part.close)


def _notes(checkpoint: Checkpoint) -> dict[int, OffsetAndMetadata]:
    return {
        one: offset_to_commit(offset, checkpoint.stream_times.get(one)) for one, offset in checkpoint.offsets.items()
    }


def _is_refused(error: RewoundError) -> bool:
    """Whether it is the group that does not take this member's offsets, rather than a broker some message."""
    causes = (error.__cause__, error.__cause__ and error.__cause__.__cause__)
    return error.__cause__ is None or any(isinstance(cause, CommitFailedError) for cause in causes)
