"""Puts dead letters back onto the topic they came from. The records and their ledger entry are one transaction."""

from __future__ import annotations

import logging
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient
from kafka.errors import (
    InvalidProducerEpochError,
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    TopicAlreadyExistsError,
)

from monitor.broker.client_errors import (
    START_SECONDS,
    close_quietly,
    translated_connect_errors,
    translated_errors,
)
from monitor.broker.connection.client_config import COMMAND_SECONDS, client_config
from monitor.broker.kafka_python.transactional import transaction_calls
from monitor.broker.writing.producer import TOO_LARGE, build_producer, send
from monitor.broker.writing.transactions import CLOSE_SECONDS, DELIVER_SECONDS, TRANSACTION_MS
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kafka import KafkaProducer

    from monitor.records.record import Message
    from monitor.settings import Settings

log = logging.getLogger(__name__)

_REFUSED = (*TOO_LARGE, InvalidTimestampError, InvalidRecordError)
_FENCED = (ProducerFencedError, InvalidProducerEpochError)


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
    with closing(_admin(settings)) as admin, translated_errors("looking at the dead letters"):
        needed, ledger = (settings.dead_letters_topic, settings.beats_topic), ledger_topic(settings)
        found = {topic["name"]: topic for topic in admin.describe_topics([*needed, ledger])}
    missing = ", ".join(name for name in needed if not found[name]["partitions"])
    if missing:
        raise BrokerError(f"no topic {missing} at {settings.bootstrap_servers}: `ecg-monitor topics create` makes it")
    letters = found[settings.dead_letters_topic]
    replicas = len(letters["partitions"][0]["replica_nodes"])
    return LettersTopic(str(letters["topic_id"]), replicas, bool(found[ledger]["partitions"]))


def make_ledger_topic(settings: Settings, letters: LettersTopic) -> None:
    """Create the ledger: compacted, so that no entry expires; one partition, so that all are read in order."""
    options = {"num_partitions": 1, "replication_factor": letters.replicas, "configs": {"cleanup.policy": "compact"}}
    name = ledger_topic(settings)
    with closing(_admin(settings)) as admin, translated_errors(f"making the compacted topic {name}"):
        try:
            admin.create_topics({name: options}, wait_for_metadata=True)
        except TopicAlreadyExistsError:
            log.debug("another replay created it first")


def _admin(settings: Settings) -> KafkaAdminClient:
    with translated_connect_errors(settings):
        return KafkaAdminClient(**client_config(settings, COMMAND_SECONDS))


class Replayer:
    """Puts records back. A second Replayer for the same letters ends the first.

    With transactions each record is put back once. Without them, the records that a replay was sending when it died are
    put back a second time by the next replay.
    """

    def __init__(self, settings: Settings) -> None:
        """End the transaction that an earlier replay left open, so that the ledger is complete from now on."""
        self._settings = settings
        self._is_transactional = settings.delivery == "exactly-once"
        self._is_open = False
        self._producer = self._build()

    def _build(self) -> KafkaProducer:
        if not self._is_transactional:
            return build_producer(self._settings, COMMAND_SECONDS)
        name = ledger_topic(self._settings)
        options = {"transactional_id": name, "transaction_timeout_ms": TRANSACTION_MS, "retry_backoff_ms": 5}
        producer = build_producer(self._settings, COMMAND_SECONDS, **options)
        with translated_errors(f"beginning transactions of {name}"):
            _init(producer)
        return producer

    def deliver(self, returns: Sequence[ReturnedRecord], entries: Sequence[Message] = ()) -> str | None:
        """Send every record, then the ledger `entries`; None when all were committed.

        Otherwise none was, and the result is the name of the error with which the broker refuses one of them for good.
        After that the ledger must be read again: another replay may have run before this one had a new producer.
        Raises BrokerError on any other failure; nothing more can be delivered then.
        """
        try:
            with self._fencing(), translated_errors("putting dead letters back"):
                self._begin()
                self._send_all([partial(self._send, returned) for returned in returns])
                self._send_all([partial(send, self._producer, entry) for entry in entries])
                self._end()
        except BrokerError as error:
            if not isinstance(error.__cause__, _REFUSED):
                raise
            self.close()  # kafka-python 3.0.12: a refused batch leaves a gap in its sequence numbers, aborted or not
            self._producer = self._build()
            return type(error.__cause__).__name__
        return None

    def _begin(self) -> None:
        if self._is_transactional:
            self._producer.begin_transaction()
            self._is_open = True

    def _send(self, returned: ReturnedRecord) -> Any:
        """Send to the partition that the record came from, where the other beats of its source are."""
        message = returned.message
        if message.partition not in self._producer.partitions_for(message.topic):
            message = replace(message, partition=None)
        return send(self._producer, message, None if returned.time_ms < 0 else returned.time_ms)

    def _send_all(self, sendings: Sequence[partial[Any]]) -> None:
        deadline = time.monotonic() + DELIVER_SECONDS
        for future in [sending() for sending in sendings]:
            future.get(timeout=max(0.0, deadline - time.monotonic()))

    def _end(self) -> None:
        if self._is_transactional:
            with _no_answer():
                transaction_calls(self._producer, self._settings).commit(CLOSE_SECONDS)
            self._is_open = False

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        """Explain that another replay has ended this one; the client wraps that in errors of its own."""
        try:
            yield
        except BrokerError as error:
            causes = (error.__cause__, transaction_calls(self._producer, self._settings).last_error())
            if any(isinstance(cause, _FENCED) for cause in causes):
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
                transaction_calls(self._producer, self._settings).abort(CLOSE_SECONDS)
        except KafkaError as error:
            log.debug("the broker ends the transaction when its time is up: %s", error)
        close_quietly("the producer", partial(self._producer.close, timeout=CLOSE_SECONDS))


@contextmanager
def _no_answer() -> Iterator[None]:
    """Say what to do when the broker does not end the transaction in time."""
    try:
        yield
    except KafkaTimeoutError as error:
        raise BrokerError(
            "the broker does not end the transaction: run the replay again, it knows what went back"
        ) from error


def _init(producer: KafkaProducer) -> None:
    """Begin transactions. A new coordinator, or one that still ends a dead replay, needs longer than one call waits."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            producer.init_transactions()
        except KafkaTimeoutError:  # the same call goes on waiting
            if time.monotonic() > deadline:
                raise
        else:
            return
