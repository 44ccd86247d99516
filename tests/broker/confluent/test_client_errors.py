"""What each error of confluent-kafka means for the caller, and what it says."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.client_errors import (
    FAILURES,
    close_quietly,
    failure_of_kafka,
    name_of_cause,
    translated_errors,
    translated_settings,
)
from monitor.errors import RefusedError
from monitor.settings import Settings

CODES = {KafkaError(code).name(): code for code in range(-200, 150)}


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("_TIMED_OUT", Failure.LATE),
        ("MSG_SIZE_TOO_LARGE", Failure.TOO_LARGE),
        ("RECORD_LIST_TOO_LARGE", Failure.TOO_LARGE),
        ("INVALID_TIMESTAMP", Failure.BAD_TIME),
        ("INVALID_RECORD", Failure.BAD_RECORD),
        ("_FENCED", Failure.FENCED),
        ("PRODUCER_FENCED", Failure.FENCED),
        ("INVALID_PRODUCER_EPOCH", Failure.FENCED),
        ("ILLEGAL_GENERATION", Failure.OUT_OF_GROUP),
        ("UNKNOWN_MEMBER_ID", Failure.OUT_OF_GROUP),
        ("REBALANCE_IN_PROGRESS", Failure.REBALANCING),
        ("_BAD_MSG", Failure.UNREADABLE),
        ("_BAD_COMPRESSION", Failure.UNREADABLE),
        ("_NOT_IMPLEMENTED", Failure.UNREADABLE),  # "Unsupported MagicByte" after a damaged batch
        ("_STATE", Failure.BROKEN),
        ("_TRANSPORT", Failure.PASSING),
        ("NOT_LEADER_FOR_PARTITION", Failure.PASSING),
        ("COORDINATOR_NOT_AVAILABLE", Failure.PASSING),
        ("TOPIC_AUTHORIZATION_FAILED", Failure.OTHER),
        ("INVALID_CONFIG", Failure.OTHER),
    ],
)
def test_an_error_means_this(name, failure):
    assert failure_of_kafka(KafkaError(CODES[name])) is failure


@pytest.mark.parametrize(("name", "failure"), [("_FENCED", Failure.FENCED), ("_TRANSPORT", Failure.BROKEN)])
def test_after_a_fatal_error_the_client_is_of_no_use(name, failure):
    assert failure_of_kafka(KafkaError(CODES[name], "reason", fatal=True)) is failure


def test_an_error_that_the_library_would_retry_may_pass():
    assert failure_of_kafka(KafkaError(CODES["UNKNOWN"], "reason", retriable=True)) is Failure.PASSING


def test_every_name_that_means_something_exists():
    assert not FAILURES.keys() - CODES.keys()


def test_an_error_says_what_was_being_done():
    with (
        pytest.raises(ClientError, match=r"^reading beats: Local: Timed out$") as caught,
        translated_errors("reading beats"),
    ):
        raise KafkaException(KafkaError(CODES["_TIMED_OUT"]))
    assert caught.value.failure is Failure.LATE
    assert name_of_cause(caught.value) == "_TIMED_OUT"


def test_a_missing_permission_says_who_can_help():
    with pytest.raises(ClientError, match=r"not authorised .*: grant this user access"), translated_errors("reading"):
        raise KafkaException(KafkaError(CODES["TOPIC_AUTHORIZATION_FAILED"]))


def test_a_defect_passes_through():
    with pytest.raises(ZeroDivisionError), translated_errors("reading"):
        1 / 0  # noqa: B018


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(RefusedError, match="settings for Kafka at here:1 cannot be used: no such option"):  # noqa: SIM117
        with translated_settings(Settings(bootstrap_servers="here:1")):
            raise KafkaException(KafkaError(CODES["_INVALID_ARG"], "no such option"))


def test_a_failure_to_close_is_a_line_in_the_log(caplog):
    def fail():
        raise KafkaException(KafkaError(CODES["_TRANSPORT"]))

    close_quietly("the reader", fail)
    assert "closing the reader: Local: Broker transport failure" in caplog.text
