"""Reads one topic as a member of a group of its own, and commits how far its records are dealt with.

It is a `Broker` without a producer and without rows. Offsets are committed outside of transactions: what the caller
did with a record comes before the commit, so after a failure in between the record comes again.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from monitor.broker.choice import kafka_client
from monitor.broker.connection.diagnosis import no_topic
from monitor.broker.place import CommittedPlace, places
from monitor.broker.reading.consumer import GroupConsumer
from monitor.broker.retry import START_SECONDS, retry_while_unavailable
from monitor.errors import BrokerError, MonitorError, RewoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.broker.client import CommittedOffset
    from monitor.records.record import Checkpoint, Records
    from monitor.settings import Settings

log = logging.getLogger(__name__)

STEP_RECORDS = 256  # of one poll: some have a waveform, 4 KiB each
COMMIT_SECONDS = 1.0  # between two commits


class Subscription(Protocol):
    """A member of a group that reads one topic. As in `Broker`: records from `read_from` up to `offset` come again."""

    def poll(self, *, is_held: bool = False) -> Records:
        """The next records, as `Broker.poll`. With `is_held` it waits about a second, stays a member, reads nothing.

        Records that had been fetched may still come. Commits what was passed to `deliver`. Raises BrokerError;
        RewoundError, where the group refused offsets: what was read since the last commit is void.
        """

    def deliver(self, checkpoint: Checkpoint) -> None:
        """Commit its offsets, with one of the next polls. It has no messages."""

    def lag(self) -> Mapping[int, int]:
        """For each assigned partition, the records after the last committed offset."""

    def joined(self) -> bool:
        """Whether this member belongs to the group and reads every partition that the group has assigned to it."""

    def close(self) -> None:
        """Commit what was delivered, and leave the group. Never raises BrokerError."""


class KafkaSubscription:
    """Implements `Subscription`, with either client."""

    def __init__(self, settings: Settings, topic: str, group_id: str) -> None:
        """Join the group. Raises BrokerError where Kafka does not answer or there is no such topic."""
        client = kafka_client(settings)
        self._settings, self._topic = settings, topic
        if not retry_while_unavailable(self._is_there, settings):
            raise BrokerError(no_topic([topic], settings.bootstrap_servers))
        # a client of a group reads the beats topic of its settings
        own = {"beats_topic": topic, "group_id": group_id, "batch_size": min(STEP_RECORDS, settings.batch_size)}
        self._consumer = GroupConsumer(settings.model_copy(update=own), client, None)
        self._pending: dict[int, CommittedOffset] = {}
        self._committed = time.monotonic()

    def _is_there(self) -> bool:
        with closing(kafka_client(self._settings).admin(self._settings, START_SECONDS)) as admin:
            return admin.describe(self._topic) is not None

    def poll(self, *, is_held: bool = False) -> Records:
        if time.monotonic() - self._committed >= COMMIT_SECONDS and self._consumer.stable():
            self._commit()
        self._consumer.hold(is_held=is_held)
        records = self._consumer.poll()
        for partition, assigned in records.assigned.items():  # so that a new group stays where it began
            self._pending[partition] = self._consumer.to_commit(partition, CommittedPlace.of(assigned))
        return records

    def deliver(self, checkpoint: Checkpoint) -> None:
        given = places(checkpoint).items()
        self._pending |= {one: self._consumer.to_commit(one, at) for one, at in given if self._consumer.owns(one)}

    def _commit(self) -> None:
        due = {one: offset for one, offset in self._pending.items() if self._consumer.owns(one)}
        self._committed = time.monotonic()
        if not due:
            return
        try:
            is_done = self._consumer.commit(due)
        except RewoundError:
            self._pending = {}
            self._consumer.rewind(is_refused=True)
            raise
        if is_done:
            self._pending = {}
            self._consumer.delivered(due)

    def lag(self) -> Mapping[int, int]:
        return self._consumer.lag()

    def joined(self) -> bool:
        return self._consumer.joined()

    def close(self) -> None:
        try:
            if self._consumer.stable():
                self._commit()
        except MonitorError as error:
            log.warning("%s: the last alerts will be read again", error)
        finally:
            self._consumer.close()
