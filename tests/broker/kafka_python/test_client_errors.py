"""The client's errors become errors of the monitor; errors of our own code never do."""

from __future__ import annotations

import selectors
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from kafka import KafkaProducer
from kafka.consumer.subscription_state import SubscriptionState
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.schemas.fields.codecs.types import Int32

from monitor.broker.kafka_python import sockets
from monitor.broker.kafka_python.client_errors import close_quietly, translated_connect_errors, translated_errors
from monitor.errors import BrokerError, RefusedError, raised_in
from monitor.settings import Settings


def leak():
    """A ValueError that the client raises itself."""
    SubscriptionState().subscribe(topics=None, pattern=None)


def raise_in(package, line):
    """Run a line as code of a package."""
    exec(line, {"__name__": f"{package}.planted"})


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KafkaTimeoutError("late"), "reading: .*late"),
        (TopicAuthorizationFailedError("beats"), "reading: not authorised"),
    ],
)
def test_an_error_of_the_client_is_told_with_what_was_being_done(error, sentence):
    with pytest.raises(BrokerError, match=sentence), translated_errors("reading"):
        raise error


def test_a_known_leak_of_the_client_is_an_error_of_the_broker():
    with (
        pytest.raises(BrokerError, match=r"subscribing: ValueError .* in the Kafka client"),
        translated_errors("subscribing"),
    ):
        leak()


def test_an_answer_that_ends_too_early_is_an_error_of_the_broker():
    with pytest.raises(BrokerError, match=r"reading: error .* in the Kafka client"), translated_errors("reading"):
        Int32.decode(KafkaBytes(2))


def test_an_error_that_the_client_does_not_leak_passes():
    with pytest.raises(TypeError), translated_errors("reading"):
        raise_in("kafka", "raise TypeError('planted')")


@pytest.mark.parametrize("error", [TypeError, KeyError, ValueError, RuntimeError, AttributeError, IndexError, OSError])
def test_the_same_error_in_our_own_code_passes(error):
    with pytest.raises(error, match="planted"), translated_errors("reading"):
        raise error("planted")
    with pytest.raises(error, match="planted"), translated_connect_errors(Settings()):
        raise error("planted")


def test_an_error_in_a_function_of_ours_that_the_client_calls_passes():
    with pytest.raises(ValueError, match="planted"), translated_errors("subscribing"):
        SubscriptionState().seek(*Pair())


class Pair:
    """Fails when it is unpacked, inside the call."""

    def __iter__(self):
        raise ValueError("planted")


def test_an_error_of_ours_that_the_client_wraps_in_its_own_is_raised_as_it_is():
    with pytest.raises(TypeError, match="planted"), translated_errors("polling"):
        wrap()


def wrap():
    """As the client does with an error of a rebalance listener."""
    try:
        raise_in("monitor", "raise TypeError('planted')")
    except TypeError as error:
        raise KafkaError("User rebalance callback throws an error") from error


@pytest.mark.parametrize("how", ["context", "argument", "argument of the context"])
@pytest.mark.parametrize(
    "translated", [lambda: translated_errors("polling"), lambda: translated_connect_errors(Settings())]
)
def test_an_error_of_ours_that_the_client_names_in_another_way_is_raised_as_it_is(how, translated):
    with pytest.raises(TypeError, match="planted"), translated():
        hide(how)


def fail(error):
    raise error


def hide(how):
    """As the client does with what its IO thread met."""
    try:
        raise_in("monitor", "raise TypeError('planted')")
    except TypeError as error:
        if how == "context":
            fail(KafkaTimeoutError("late"))
        planted = error
    try:
        fail(KafkaConnectionError(planted))
    except KafkaConnectionError:
        if how == "argument":
            raise
        fail(KafkaTimeoutError("late"))


def test_an_error_that_was_handled_before_the_client_was_called_is_not_behind_its_error():
    try:
        raise_in("monitor", "raise KeyError('handled')")
    except KeyError:
        with pytest.raises(BrokerError, match="late"), translated_errors("polling"):
            fail(KafkaTimeoutError("late"))


@pytest.mark.parametrize("failure", [ConnectionResetError("gone"), ValueError("closed")])
def test_a_connection_that_breaks_while_we_read_from_it_is_no_defect(failure):
    transport = SimpleNamespace(_sock=MagicMock(**{"recv.side_effect": failure}), _protocol=None)
    _, error = sockets.receive(transport)
    with pytest.raises(BrokerError, match="reading"), translated_errors("reading"):
        raise error


def test_settings_that_the_client_cannot_use_are_refused():
    with pytest.raises(RefusedError, match="Unrecognized configs"), translated_connect_errors(Settings()):
        KafkaProducer(nonsense=1)


def test_a_client_that_does_not_close_in_order_is_worth_a_line(caplog):
    def close():
        raise KafkaTimeoutError("late")

    close_quietly("the consumer", close)
    assert "closing the consumer" in caplog.text
    with pytest.raises(TypeError):
        close_quietly("the consumer", None)


def test_an_error_belongs_to_the_package_whose_code_raised_it():
    with pytest.raises(ValueError, match="topics") as caught:
        leak()
    assert raised_in(caught.value) == "kafka"
    with pytest.raises(ValueError, match="descriptor") as caught, selectors.DefaultSelector() as selector:
        selector.get_key(-1)
    assert raised_in(caught.value) == "tests"
    assert raised_in(KeyError()) == ""
