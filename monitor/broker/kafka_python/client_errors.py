"""Errors of kafka-python as errors of the monitor. Errors of the monitor's own code pass through untouched."""

from __future__ import annotations

import logging
import struct
import sys
import zlib
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    CorruptRecordError,
    InvalidProducerEpochError,
    InvalidRecordError,
    InvalidTimestampError,
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RebalanceInProgressError,
    RecordListTooLargeError,
)
from snappy import UncompressError
from zstandard import ZstdError

from monitor.broker.client import ClientError, Failure
from monitor.broker.connection.delay import reported_delay
from monitor.broker.connection.diagnosis import no_answer
from monitor.errors import CLIENT_PACKAGES, MonitorError, RefusedError, raised_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from monitor.settings import Settings

log = logging.getLogger(__name__)

_FAILURES: dict[type[KafkaError], Failure] = {
    MessageSizeTooLargeError: Failure.TOO_LARGE,
    RecordListTooLargeError: Failure.TOO_LARGE,
    InvalidTimestampError: Failure.BAD_TIME,
    InvalidRecordError: Failure.BAD_RECORD,
    ProducerFencedError: Failure.FENCED,
    InvalidProducerEpochError: Failure.FENCED,
    CommitFailedError: Failure.OUT_OF_GROUP,
    RebalanceInProgressError: Failure.REBALANCING,
    KafkaTimeoutError: Failure.LATE,
    CorruptRecordError: Failure.UNREADABLE,
}

# Errors other than KafkaError that kafka-python 3.0.12 raises when a broker or a connection fails. They count only
# where the client or its codecs raised them (`raised_in`): elsewhere the same error is a defect of the monitor.
LEAKS: tuple[type[Exception], ...] = (
    LookupError,  # KeyError: a topic, a partition or a leader has gone from the metadata while it is looked up;
    # IndexError: an answer holds fewer entries than were asked for
    ValueError,  # a partition was revoked on the IO thread before `seek` or `pause`, or is unknown to `send`; a list of
    # offsets comes back without one; SCRAM answers that do not fit; a header's name that is not UTF-8
    RuntimeError,  # the IO thread has ended ("NetworkSelector closed!"), a transport is closed for writes, two threads
    # poll at once, no controller is found
    AttributeError,  # the IO thread closes a connection, and sets its socket to None, while another thread uses it
    AssertionError,  # the client's checks of its own state, as of a task or of a batch in an old message format
    struct.error,  # an answer, or a record in it, ends before its fields do
    OSError,  # the error that ended the IO thread is raised again in each later call
    # a batch whose compressed bytes are damaged: gzip, gzip cut short, snappy, zstd; of lz4 it is a RuntimeError
    zlib.error,
    EOFError,
    UncompressError,
    ZstdError,
)


class UnreachableError(KafkaError):  # type: ignore[misc]
    """No server will accept this client; the message is a sentence for people."""


def _is_leak(error: Exception) -> bool:
    """Whether an error of the client's own code is none of its KafkaErrors."""
    return isinstance(error, LEAKS) and raised_in(error) in CLIENT_PACKAGES


def _defect_behind(error: BaseException, handled: BaseException | None) -> BaseException | None:
    """The error of the monitor's own code that is wrapped in the client's `error`, or None.

    The client wraps what our rebalance listener raises. The search follows the cause, the context and the first
    argument of each error. It skips `handled`, which the caller was already handling when it called the client. These
    are no defects: a KafkaError, a MonitorError, an OSError (a failed connection), an error from the client's code, an
    error that was never raised, and what is no Exception, such as KeyboardInterrupt.
    """
    seen, waiting = {id(handled)}, [error]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        is_expected = not isinstance(found, Exception) or isinstance(found, KafkaError | MonitorError | OSError)
        if not is_expected and raised_in(found) not in {"", *CLIENT_PACKAGES}:
            return found
        waiting += [
            one for one in (found.__context__, found.__cause__, *found.args[:1]) if isinstance(one, BaseException)
        ]
    return None


@contextmanager
def _translated(
    of_error: Callable[[KafkaError], MonitorError], of_leak: Callable[[Exception], MonitorError]
) -> Iterator[None]:
    """Replace the client's errors and its leaks by what these functions return; let all others pass."""
    handled = sys.exc_info()[1]
    try:
        yield
    except KafkaError as error:
        if defect := _defect_behind(error, handled):
            raise defect from None
        raise of_error(error) from error
    except LEAKS as error:
        if not _is_leak(error):
            raise
        raise of_leak(error) from error


def failure_of_kafka(error: KafkaError) -> Failure:
    """What an error of the client means for the caller."""
    inner = [one for one in (*error.args, error.__cause__) if isinstance(one, KafkaError)]  # as after a failed batch
    for one in (error, *inner):
        for kind, failure in _FAILURES.items():
            if isinstance(one, kind):
                return failure
    return Failure.PASSING if getattr(error, "retriable", False) else Failure.OTHER


def translated_errors(what: str) -> AbstractContextManager[None]:
    """Turn the client's errors into a ClientError that says what was being done; let all others pass."""

    def of_error(error: KafkaError) -> ClientError:
        if isinstance(error, AuthorizationError):
            sentence = f"{what}: not authorised ({error}): grant this user access on the broker"
            return ClientError(sentence, Failure.UNAUTHORISED)
        return ClientError(f"{what}: {error}", failure_of_kafka(error))

    return _translated(of_error, partial(_leak_error, what))


@contextmanager
def translated_connect_errors(settings: Settings) -> Iterator[None]:
    """Turn an error that the block raises while it builds a client into one sentence for people.

    Settings that the client cannot use become a RefusedError, all else a ClientError. Building a client connects it:
    while that takes long, the log says so.
    """

    def of_leak(error: Exception) -> MonitorError:  # ValueError, OSError: such as a certificate that cannot be read
        if isinstance(error, ValueError | OSError):
            return _unusable(settings, error)
        return _leak_error(f"Kafka at {settings.bootstrap_servers}", error)

    with _translated(partial(_connect_error, settings), of_leak), reported_delay(settings):
        yield


def _leak_error(what: str, error: Exception) -> ClientError:
    return ClientError(f"{what}: {type(error).__name__} {error} in the Kafka client", Failure.BROKEN)


def _connect_error(settings: Settings, error: KafkaError) -> MonitorError:
    if isinstance(error, UnreachableError):
        return ClientError(error.args[0])
    if isinstance(error, KafkaConfigurationError):
        return _unusable(settings, error)
    if isinstance(error, KafkaTimeoutError):
        return ClientError(no_answer(settings, str(error.args[0])), failure_of_kafka(error))
    return ClientError(f"Kafka at {settings.bootstrap_servers} refuses: {error}", failure_of_kafka(error))


def _unusable(settings: Settings, error: Exception) -> RefusedError:
    return RefusedError(f"the settings for Kafka at {settings.bootstrap_servers} cannot be used: {error}")


def close_quietly(what: str, close: Callable[[], None]) -> None:
    """Close a client; a failure of the client is worth a line in the log and no more."""
    try:
        with translated_errors(f"closing {what}"):
            close()
    except ClientError as error:
        log.warning("%s", error)
