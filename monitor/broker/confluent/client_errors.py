"""Errors of confluent-kafka as errors of the monitor. Errors of the monitor's own code pass through untouched."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from monitor.broker.client import ClientError, Failure
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.settings import Settings

log = logging.getLogger(__name__)

# By the name of the error; one with an underscore before it was found by the library itself.
_NAMES = {
    Failure.LATE: "_TIMED_OUT _TIMED_OUT_QUEUE",
    Failure.TOO_LARGE: "MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE",
    Failure.BAD_TIME: "INVALID_TIMESTAMP",
    Failure.BAD_RECORD: "INVALID_RECORD _INVALID_DIFFERENT_RECORD",
    Failure.FENCED: "_FENCED PRODUCER_FENCED INVALID_PRODUCER_EPOCH",
    Failure.OUT_OF_GROUP: "ILLEGAL_GENERATION UNKNOWN_MEMBER_ID FENCED_INSTANCE_ID FENCED_MEMBER_EPOCH "
    "STALE_MEMBER_EPOCH _MAX_POLL_EXCEEDED _ASSIGNMENT_LOST",
    Failure.REBALANCING: "REBALANCE_IN_PROGRESS",
    Failure.UNREADABLE: "_BAD_MSG _BAD_COMPRESSION INVALID_MSG UNSUPPORTED_COMPRESSION_TYPE "
    "_NOT_IMPLEMENTED",  # a batch in an unknown format: so the bytes after a damaged batch are read
    Failure.BROKEN: "_FATAL _STATE _CONFLICT _DESTROY _CRIT_SYS_RESOURCE",
    Failure.PASSING: "_TRANSPORT _ALL_BROKERS_DOWN _RESOLVE _WAIT_COORD _WAIT_CACHE _RETRY _NOENT _MSG_TIMED_OUT "
    "_UNKNOWN_BROKER _UNKNOWN_TOPIC _UNKNOWN_PARTITION UNKNOWN_TOPIC_OR_PART UNKNOWN_TOPIC_ID LEADER_NOT_AVAILABLE "
    "NOT_LEADER_FOR_PARTITION FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH BROKER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE "
    "NETWORK_EXCEPTION REQUEST_TIMED_OUT COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR "
    "NOT_CONTROLLER NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND KAFKA_STORAGE_ERROR OFFSET_NOT_AVAILABLE "
    "UNSTABLE_OFFSET_COMMIT CONCURRENT_TRANSACTIONS THROTTLING_QUOTA_EXCEEDED REBOOTSTRAP_REQUIRED",
}
FAILURES = {name: failure for failure, names in _NAMES.items() for name in names.split()}


def failure_of_kafka(error: KafkaError) -> Failure:
    """What an error of the client means for the caller."""
    found = FAILURES.get(error.name())
    if error.fatal():
        return found if found is Failure.FENCED else Failure.BROKEN
    return found or (Failure.PASSING if error.retriable() else Failure.OTHER)


def error_of(what: str, error: KafkaError) -> ClientError:
    """A sentence that says what was being done."""
    if error.name().endswith("_AUTHORIZATION_FAILED"):
        sentence = f"{what}: not authorised ({error.str()}): grant this user access on the broker"
        return ClientError(sentence, Failure.UNAUTHORISED)
    return ClientError(f"{what}: {error.str()}", failure_of_kafka(error))


def kafka_error(exception: KafkaException) -> KafkaError:
    """What went wrong, out of the exception around it."""
    found: KafkaError = exception.args[0]
    return found


def name_of_cause(error: ClientError) -> str:
    """The client's name for what went wrong; empty where another library or nothing did."""
    cause = error.__cause__
    return kafka_error(cause).name() if isinstance(cause, KafkaException) else ""


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Turn the client's errors into a ClientError that says what was being done; let all others pass."""
    try:
        yield
    except KafkaException as exception:
        raise error_of(what, kafka_error(exception)) from exception


@contextmanager
def translated_settings(settings: Settings) -> Iterator[None]:
    """Turn the failure to build a client into a RefusedError: nothing is connected yet, so its settings are wrong."""
    try:
        yield
    except KafkaException as exception:
        where, reason = settings.bootstrap_servers, kafka_error(exception).str()
        raise RefusedError(f"the settings for Kafka at {where} cannot be used: {reason}") from exception


def close_quietly(what: str, close: Callable[[], object]) -> None:
    """Close a client; a failure of the client is worth a line in the log and no more."""
    try:
        with translated_errors(f"closing {what}"):
            close()
    except ClientError as error:
        log.warning("%s", error)
