"""Dead letters back onto their topic: a delivery and the note of what it took are one transaction."""

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

from monitor.broker.connection.client_config import (
    COMMAND_SECONDS,
    START_SECONDS,
    client_config,
    close_quietly,
    translated_connect_errors,
    translated_errors,
)
from monitor.broker.producer import TOO_LARGE, build_producer, is_answered, send
from monitor.broker.transactions import CLOSE_SECONDS, DELIVER_SECONDS, TRANSACTION_MS
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
    """A message and when it belongs."""

    message: Message
    time_ms: int  # negative: now


@dataclass(frozen=True, slots=True)
class LettersTopic:
    """The dead letters topic as it is now."""

    topic_id: str  # another one when it was deleted and made anew
    replicas: int
    has_notes: bool  # whether anything was ever put back


def notes_topic(settings: Settings) -> str:
    """Where it is noted which letters went back: theirs, not a group's, since any group may read them."""
    return f"{settings.dead_letters_topic}.replayed"


def describe_letters(settings: Settings) -> LettersTopic:
    """Raises BrokerError where that topic is missing, or the one that letters go back to."""
    with closing(_admin(settings)) as admin, translated_errors("looking at the dead letters"):
        needed, notes = (settings.dead_letters_topic, settings.beats_topic), notes_topic(settings)
        found = {topic["name"]: topic for topic in admin.describe_topics([*needed, notes])}
    missing = ", ".join(name for name in needed if not found[name]["partitions"])
    if missing:
        raise BrokerError(f"no topic {missing} at {settings.bootstrap_servers}: `ecg-monitor topics create` makes it")
    letters = found[settings.dead_letters_topic]
    replicas = len(letters["partitions"][0]["replica_nodes"])
    return LettersTopic(str(letters["topic_id"]), replicas, bool(found[notes]["partitions"]))


def make_notes_topic(settings: Settings, letters: LettersTopic) -> None:
    """Compacted, so that a note lives as long as the letters it names; one partition, so that all are read in order."""
    options = {"num_partitions": 1, "replication_factor": letters.replicas, "configs": {"cleanup.policy": "compact"}}
    name = notes_topic(settings)
    with closing(_admin(settings)) as admin, translated_errors(f"making the compacted topic {name}"):
        try:
            admin.create_topics({name: options}, wait_for_metadata=True)
        except TopicAlreadyExistsError:
            log.debug("somebody else's replay was quicker")


def _admin(settings: Settings) -> KafkaAdminClient:
    with translated_connect_errors(settings):
        return KafkaAdminClient(**client_config(settings, COMMAND_SECONDS))


class Replayer:
    """A producer for one replay at a time: a second one on the same letters ends the first.

    Exactly once in transactions; where the broker has none, what was under way when a replay died goes twice.
    """

    def __init__(self, settings: Settings) -> None:
        """Ends what an earlier replay left open, so that the notes read after this are complete."""
        self._settings = settings
        self._is_transactional = settings.delivery == "exactly-once"
        self._is_open = False
        self._producer = self._build()

    def _build(self) -> KafkaProducer:
        if not self._is_transactional:
            return build_producer(self._settings, COMMAND_SECONDS)
        name = notes_topic(self._settings)
        options = {"transactional_id": name, "transaction_timeout_ms": TRANSACTION_MS, "retry_backoff_ms": 5}
        producer = build_producer(self._settings, COMMAND_SECONDS, **options)
        with translated_errors(f"beginning transactions of {name}"):
            _init(producer)
        return producer

    def deliver(self, returns: Sequence[ReturnedRecord], notes: Sequence[Message] = ()) -> str | None:
        """Every message, then the notes; None, or why the broker refuses one of them for good: then none of them went.

        After a refusal the notes must be read again: a replay may have come and gone before this one had a producer
        again. Raises BrokerError on any other failure, after which nothing more can be delivered.
        """
        try:
            with self._fencing(), translated_errors("putting dead letters back"):
                self._begin()
                self._send_all([partial(self._send, returned) for returned in returns])
                self._send_all([partial(send, self._producer, note) for note in notes])
                self._end()
        except BrokerError as error:
            if not isinstance(error.__cause__, _REFUSED):
                raise
            self.close()  # kafka-python 3.0.12: after a refused batch its sequence numbers have a gap, abort or not
            self._producer = self._build()
            return type(error.__cause__).__name__
        return None

    def _begin(self) -> None:
        if self._is_transactional:
            self._producer.begin_transaction()
            self._is_open = True

    def _send(self, returned: ReturnedRecord) -> Any:
        """To the partition it came from, where the source's other beats are, whatever partitioner its publisher has."""
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
            self._wait(self._producer._transaction_manager.begin_commit())  # noqa: SLF001 - see is_answered
            self._is_open = False

    def _wait(self, result: Any) -> None:
        if not is_answered(self._producer, result, CLOSE_SECONDS):
            raise BrokerError("the broker does not end the transaction: run the replay again, it knows what went back")

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        """Say in our words that a second replay took over; the client wraps it in errors of its own."""
        try:
            yield
        except BrokerError as error:
            manager = self._producer._transaction_manager  # noqa: SLF001
            causes = (error.__cause__, manager.last_error if manager else None)
            if any(isinstance(cause, _FENCED) for cause in causes):
                raise BrokerError(
                    f"another replay of {self._settings.dead_letters_topic} has started and goes on where this one "
                    "was; if nobody started one, the broker was too slow: run it again"
                ) from error
            raise

    def close(self) -> None:
        """Give up what is under way. An open transaction would hold up the readers until it times out."""
        try:
            if self._is_open:
                self._is_open = False
                self._wait(self._producer._transaction_manager.begin_abort())  # noqa: SLF001
        except (KafkaError, BrokerError) as error:
            log.debug("the transaction is left to its time limit: %s", error)
        close_quietly("the producer", partial(self._producer.close, timeout=CLOSE_SECONDS))


def _init(producer: KafkaProducer) -> None:
    """A coordinator that is new, or busy with a dead replay's transaction, may need longer than the client waits."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            producer.init_transactions()
        except KafkaTimeoutError:  # the same call goes on waiting
            if time.monotonic() > deadline:
                raise
        else:
            return
