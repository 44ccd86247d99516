"""Implements `protocol.Broker` for Kafka: polls beats and delivers checkpoints, exactly once or at least once."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from monitor.broker.choice import kafka_client
from monitor.broker.client import Failure, failure_of
from monitor.broker.connection.diagnosis import no_topic
from monitor.broker.permissions import RightsWatch
from monitor.broker.place import CommittedPlace, places
from monitor.broker.reading.consumer import GroupConsumer
from monitor.broker.reading.control_topic import ControlTopic
from monitor.broker.reading.source_rows import SourceRows
from monitor.broker.retry import retry_while_unavailable
from monitor.broker.topics import missing_topics, profile_rows, state_rows
from monitor.broker.writing.delivery import AtLeastOnce, DeliveryStrategy, ExactlyOnce
from monitor.errors import BrokerError, MonitorError, RewoundError
from monitor.records.record import BrokerFacts, Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.broker.client import CommittedOffset
    from monitor.records.record import Records
    from monitor.settings import Settings

log = logging.getLogger(__name__)


class _BegunCheckpoint(NamedTuple):
    """A checkpoint that is being delivered, its offsets, and those that were pending before it."""

    checkpoint: Checkpoint
    offsets: dict[int, CommittedOffset]
    before: dict[int, CommittedOffset]


class KafkaBroker:
    """One member of the group and its producer. Offsets of steps without messages are committed at intervals."""

    def __init__(self, settings: Settings, *, profiles: bool = False) -> None:
        """Connect, check that the topics exist, read the control topic, join the group.

        `profiles`: whether profiles are used, and their topic is needed. Raises BrokerError where Kafka does not answer
        or a topic is missing, RefusedError for settings that are wrong.
        """
        missing = retry_while_unavailable(lambda: missing_topics(settings, profiles=profiles), settings)
        if missing:
            raise BrokerError(no_topic(missing, settings.bootstrap_servers))
        self._facts = BrokerFacts()
        self._commit_interval_seconds = settings.commit_interval_ms / 1000
        self._committed = time.monotonic()
        self._pending: dict[int, CommittedOffset] = {}
        self._delivered: Checkpoint | None = None
        self._begun: _BegunCheckpoint | None = None
        self._is_confirmed = True
        client = kafka_client(settings)
        self._rights = RightsWatch(settings, client, profiles=profiles)
        self._control = ControlTopic(settings)
        self._state = SourceRows(settings, client, state_rows(settings))
        self._profiles = SourceRows(settings, client, profile_rows(settings)) if profiles else None
        self._consumer = GroupConsumer(settings, client, self._state, self._profiles)
        strategy = ExactlyOnce if settings.delivery == "exactly-once" else AtLeastOnce
        self._strategy: DeliveryStrategy = strategy(settings, client, self._consumer)
        retry_while_unavailable(self._strategy.prepare, settings)

    def poll(self) -> Records:
        if self._begun is None:
            self._prepare()
            self._commit_when_due()
            self._rights.look()
        elif self._consumer.must_assign():  # the delivery may still change their offsets and state
            self._strategy.wait()
        records = self._consumer.poll()
        for partition, assigned in records.assigned.items():  # so that a new group stays where it began
            self._pending[partition] = self._consumer.to_commit(partition, CommittedPlace.of(assigned))
        return replace(records, control_records=self._control.changes())

    def has_more(self) -> bool:
        return self._consumer.has_more()

    def _prepare(self) -> None:
        """Ready the strategy. After a failure this also ends the last transaction."""
        try:
            self._strategy.prepare()
        except BrokerError:
            self._facts += BrokerFacts(commit_failures=1)
            raise

    def begin(self, checkpoint: Checkpoint) -> None:
        if not checkpoint or checkpoint is self._delivered:
            return
        self._check_begun(checkpoint)
        if self._begun is None:
            self._begun = _BegunCheckpoint(checkpoint, self._due(checkpoint), dict(self._pending))
            self._strategy.begin(checkpoint, self._begun.offsets)

    def deliver(self, checkpoint: Checkpoint) -> None:
        if checkpoint is self._delivered:
            return
        self._check_begun(checkpoint)
        if checkpoint:
            self._commit(checkpoint)
        else:
            self._pending |= self._offsets(checkpoint)
        self._delivered = checkpoint

    def _check_begun(self, checkpoint: Checkpoint) -> None:
        """Raises ValueError where the caller breaks the contract: that is no fault of Kafka."""
        if self._begun is not None and self._begun.checkpoint is not checkpoint:
            raise ValueError("another checkpoint was begun: deliver that one first")

    def _due(self, checkpoint: Checkpoint) -> dict[int, CommittedOffset]:
        """The offsets to commit with a checkpoint, of partitions that this member may commit."""
        due = self._pending | self._offsets(checkpoint)
        return {one: offset for one, offset in due.items() if self._consumer.owns(one)}

    def _offsets(self, checkpoint: Checkpoint) -> dict[int, CommittedOffset]:
        """The offsets of a checkpoint to commit. No partition goes back: records that come again may be in a step."""
        consumer, given = self._consumer, places(checkpoint).items()
        return {one: consumer.to_commit(one, at) for one, at in given if not consumer.is_behind(one, at.offset)}

    def _commit_when_due(self) -> None:
        is_due = time.monotonic() - self._committed >= self._commit_interval_seconds
        if self._pending and is_due and self._consumer.stable():  # else the generation may be newer than the partitions
            self._commit(Checkpoint())

    def _commit(self, checkpoint: Checkpoint) -> None:
        """Deliver a checkpoint with all offsets that are due; an empty checkpoint commits these alone."""
        _, offsets, before = self._begun or _BegunCheckpoint(checkpoint, self._due(checkpoint), dict(self._pending))
        self._begun = None
        if not offsets and not checkpoint:
            return
        try:
            is_done = self._strategy.deliver(checkpoint, offsets)
        except RewoundError as error:
            self._facts += BrokerFacts(commit_failures=1, rewinds=1)
            self._pending, self._committed, self._is_confirmed = {}, time.monotonic(), False
            self._consumer.rewind(is_refused=_is_refused(error))
            raise
        except BrokerError:
            self._facts += BrokerFacts(commit_failures=1)
            self._consumer.look_at_lag()  # there is no poll until this checkpoint is delivered
            raise
        for partition, offset in offsets.items():
            if self._pending.get(partition) is before.get(partition):  # else it was restored meanwhile
                self._pending.pop(partition, None)
                self._pending |= {} if is_done else {partition: offset}
        if is_done:
            self._is_confirmed = True
            self._consumer.delivered(offsets)
            self._committed = time.monotonic()
            self._facts += BrokerFacts(commits=1)

    def settled(self) -> bool:
        return self._is_confirmed or self._consumer.is_idle()

    def lag(self) -> Mapping[int, int]:
        return self._consumer.lag()

    def held_back(self) -> Mapping[int, int]:
        return self._consumer.held_back()

    def obstacle(self) -> str:
        return self._rights.obstacle

    def joined(self) -> bool:
        return self._consumer.joined()

    def facts(self) -> BrokerFacts:
        own, self._facts = self._facts, BrokerFacts()
        return own + self._consumer.facts()

    def close(self) -> None:
        """Commit what was delivered and leave the group; beats whose offsets cannot be committed are read again."""
        try:
            self._commit_last()
        finally:
            for part in (self._consumer, self._strategy, self._state, self._profiles, self._control, self._rights):
                if part is not None:
                    part.close()

    def _commit_last(self) -> None:
        try:
            if self._begun is not None:
                self._commit(self._begun.checkpoint)
            if self._consumer.stable():
                self._commit(Checkpoint())
        except MonitorError as error:
            log.warning("%s: the last beats will be read again", error)


def _is_refused(error: RewoundError) -> bool:
    """Whether the group refused this member's offsets, rather than a broker one of the messages."""
    return error.__cause__ is None or failure_of(error) is Failure.OUT_OF_GROUP
