"""Puts dead letters back onto the topic they came from. The records and their ledger entry are one transaction."""

from __future__ import annotations

import logging
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.broker.choice import kafka_client
from monitor.broker.client import ClientError, Failure
from monitor.broker.connection.diagnosis import no_topic
from monitor.broker.retry import COMMAND_SECONDS, START_SECONDS
from monitor.broker.writing.transactions import DELIVER_SECONDS
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.broker.client import ProducerClient
    from monitor.records.record import Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
_REFUSED = {Failure.TOO_LARGE, Failure.BATCH_TOO_LARGE, Failure.BAD_RECORD, Failure.BAD_TIME}


@dataclass(frozen=True, slots=True)
class ReturnedRecord:
    """A record to put back, with its timestamp."""

    message: Message
    time_ms: int  # since the epoch; negative: now


@dataclass(frozen=True, slots=True)
class LettersTopic:
    """The dead letters topic as it is now."""

    topic_id: str  # another one after the topic was deleted and created again
    replicas: int
    has_ledger: bool  # whether anything was ever put back


def ledger_topic(settings: Settings) -> str:
    """The topic of the replay ledger. It belongs to the letters and not to a group, since any group may read them."""
    return f"{settings.dead_letters_topic}.replayed"


def describe_letters(settings: Settings) -> LettersTopic:
    """Ask about the dead letters topic. Raises BrokerError where it or the beats topic is missing."""
    with closing(kafka_client(settings).admin(settings, COMMAND_SECONDS)) as admin:
        letters, beats = admin.describe(settings.dead_letters_topic), admin.describe(settings.beats_topic)
        has_ledger = admin.describe(ledger_topic(settings)) is not None
    missing = [
        name for name, facts in ((settings.dead_letters_topic, letters), (settings.beats_topic, beats)) if facts is None
    ]
    if letters is None or missing:
        raise BrokerError(no_topic(missing, settings.bootstrap_servers))
    return LettersTopic(letters.topic_id, letters.replicas, has_ledger)


def make_ledger_topic(settings: Settings, letters: LettersTopic) -> None:
    """Create the ledger: compacted, so that no entry expires; one partition, so that all are read in order."""
    with closing(kafka_client(settings).admin(settings, COMMAND_SECONDS)) as admin:
        if not admin.create(ledger_topic(settings), 1, letters.replicas, {"cleanup.policy": "compact"}):
            log.debug("another replay created it first")


class Replayer:
    """Puts records back. A second Replayer for the same letters ends the first.

    With transactions each record is put back once. Without them, the records that a replay was sending when it died are
    put back a second time by the next replay.
    """

    def __init__(self, settings: Settings) -> None:
        """End the transaction that an earlier replay left open, so that the ledger is complete from now on."""
        self._settings, self._client = settings, kafka_client(settings)
        self._is_transactional = settings.delivery == "exactly-once"
        self._is_open = False
        self._producer = self._build()

    def _build(self) -> ProducerClient:
        if not self._is_transactional:
            return self._client.producer(self._settings, COMMAND_SECONDS)
        producer = self._client.producer(self._settings, COMMAND_SECONDS, transactional_id=ledger_topic(self._settings))
        # a new coordinator, or one that still ends a dead replay, needs a while
        try:
            producer.init_transactions(START_SECONDS)
        except ClientError:
            producer.discard()
            raise
        return producer

    def deliver(self, returns: Sequence[ReturnedRecord], entries: Sequence[Message] = ()) -> str | None:
        """Send every record, then the ledger `entries`; None when all were committed.

        Otherwise none was, and the result says why the broker refuses one of them for good.
        After that the ledger must be read again: another replay may have run before this one had a new producer.
        Raises BrokerError on any other failure; nothing more can be delivered then.
        """
        try:
            with self._fencing():
                self._begin()
                times = [None if one.time_ms < 0 else one.time_ms for one in returns]
                self._send(self._placed(returns), times)
                self._send(entries)
                self._end()
        except ClientError as error:
            if error.failure not in _REFUSED:
                raise BrokerError(f"putting dead letters back: {error}") from error
            self.close()  # kafka-python 3.0.12: a refused batch leaves a gap in its sequence numbers, aborted or not
            self._producer = self._build()
            return str(error)
        return None

    def _begin(self) -> None:
        """Begin a transaction, where there are any."""
        if self._is_transactional:
            self._producer.begin()
            self._is_open = True

    def _placed(self, returns: Sequence[ReturnedRecord]) -> list[Message]:
        """The messages for the partitions that the records came from, as the other beats of their sources are there."""
        messages = [returned.message for returned in returns]
        known = {topic: self._producer.partitions(topic) for topic in {message.topic for message in messages}}
        return [
            message if message.partition in known[message.topic] else message._replace(partition=None)
            for message in messages
        ]

    def _send(self, messages: Sequence[Message], times_ms: Sequence[int | None] = ()) -> None:
        self._producer.send(messages, times_ms).wait(time.monotonic() + DELIVER_SECONDS)

    def _end(self) -> None:
        """Commit the transaction. Raises BrokerError where the broker does not answer in time."""
        if not self._is_transactional:
            return
        try:
            self._producer.commit(CLOSE_SECONDS)
        except ClientError as error:
            if error.failure is not Failure.LATE:
                raise
            raise BrokerError(
                "the broker does not end the transaction: run the replay again, it knows what went back"
            ) from error
        self._is_open = False

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        """Explain that another replay has ended this one."""
        try:
            yield
        except ClientError as error:
            if error.failure is Failure.FENCED or self._producer.is_fenced():
                raise BrokerError(
                    f"another replay of {self._settings.dead_letters_topic} has started and goes on where this one "
                    "was; if nobody started one, the broker was too slow: run it again"
                ) from error
            raise

    def close(self) -> None:
        """Undo an open transaction, which would block readers until it times out, and close the connections."""
        try:
            if self._is_open:
                self._is_open = False
                self._producer.abort(CLOSE_SECONDS)
        except ClientError as error:
            log.debug("the broker ends the transaction when its time is up: %s", error)
        self._producer.close(CLOSE_SECONDS)
