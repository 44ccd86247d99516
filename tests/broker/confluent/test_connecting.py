"""Why a cluster cannot be reached, as far as the library's errors tell it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from monitor.broker.confluent.config import group_options
from monitor.broker.confluent.connecting import ConnectionErrors, _reach, build, connect
from monitor.errors import BrokerError, RefusedError
from monitor.settings import Settings

TOKENS = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_username": "monitor",
    "sasl_password": "s3ntinel",
    "sasl_token_url": "https://user:word@login.test/token?key=word",
}
CODES = {KafkaError(code).name(): code for code in range(-200, 150)}
LOGIN = {"security_protocol": "SASL_SSL", "sasl_username": "monitor", "sasl_password": "s3ntinel"}
REFUSED = "SASL authentication error: Authentication failed: Invalid username or password"
CERTIFICATE = "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: (after 3ms)"
NO_LOGIN = "SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: "


def settings(servers="kafka.test:9093", **given):
    return Settings(bootstrap_servers=servers, **(given or LOGIN))


def connection_error(text, name="_AUTHENTICATION", where="kafka.test:9093"):
    return KafkaError(CODES[name], f"sasl_ssl://{where}/bootstrap: {text} (after 3ms in state AUTH_REQ)")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (REFUSED, "refuses the login of user 'monitor' with PLAIN (Authentication failed: Invalid username"),
        (NO_LOGIN, "takes no login: set MONITOR_SECURITY_PROTOCOL=SSL"),
    ],
)
def test_a_login_that_is_refused_is_final(text, sentence):
    errors = ConnectionErrors(settings())
    errors.hear(connection_error(text))
    assert f"Kafka at kafka.test:9093 {sentence}" in errors.refusal()


def test_a_server_that_may_still_answer_is_waited_for():
    errors = ConnectionErrors(settings("kafka.test:9093,127.0.0.1:1"))
    errors.hear(connection_error(REFUSED))
    errors.hear(connection_error("Connect to ipv4#127.0.0.1:1 failed: Connection refused", "_TRANSPORT", "127.0.0.1:1"))
    assert errors.refusal() == ""
    assert "refuses the login" in errors.summary()


def test_nobody_is_asked_where_nobody_listens():
    errors = ConnectionErrors(settings("kafka.test:9093"))
    errors.hear(connection_error("Failed to resolve 'kafka.test:9093': Name or service not known", "_RESOLVE"))
    assert errors.refusal() == ""
    assert "(kafka.test:9093: Failed to resolve 'kafka.test:9093': Name or service not known)" in errors.summary()


def test_once_connected_a_refusal_is_logged_once_per_change(caplog):
    errors = ConnectionErrors(settings())
    errors.connected()
    for text in (REFUSED, REFUSED, "Disconnected", REFUSED):
        errors.hear(connection_error(text, "_AUTHENTICATION" if text == REFUSED else "_TRANSPORT"))
    assert caplog.text.count("refuses the login of user 'monitor'") == 1


def test_once_connected_a_failed_handshake_is_logged_without_asking_the_server(caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        where = f"127.0.0.1:{server.getsockname()[1]}"
        errors = ConnectionErrors(settings(where))
        errors.connected()
        for text in (CERTIFICATE, "Disconnected", CERTIFICATE):
            errors.hear(connection_error(text, "_SSL" if text == CERTIFICATE else "_TRANSPORT", where))
        with pytest.raises(BlockingIOError):  # nobody has connected
            server.accept()
    assert caplog.text.count(f"Kafka at {where}: {CERTIFICATE}") == 1


def token_error(text):
    return KafkaError(CODES["_AUTHENTICATION"], f"Failed to acquire SASL OAUTHBEARER token: {text}")


def test_a_token_that_is_refused_is_final_and_the_sentence_names_what_to_check():
    errors = ConnectionErrors(settings(**TOKENS))
    errors.hear(token_error('{"error":"invalid_client","error_description":"not s3ntinel"}'))
    sentence = errors.refusal()
    assert sentence == errors.summary()
    assert 'login.test gives no token for user \'monitor\' ({"error":"invalid_client"' in sentence
    assert "check MONITOR_SASL_TOKEN_URL, MONITOR_SASL_USERNAME and MONITOR_SASL_PASSWORD" in sentence
    assert "s3ntinel" not in sentence
    assert "word@" not in sentence


@pytest.mark.parametrize(
    "text",
    [
        "Failed to connect to login.test:443 after 0 ms: Could not connect to server",
        "Server did not provide an error string",
        "404",
        '{"error":"temporarily_unavailable"}',
    ],
)
def test_a_token_server_that_may_come_back_is_waited_for(text):
    errors = ConnectionErrors(settings(**TOKENS))
    errors.hear(token_error(text))
    assert errors.refusal() == ""
    assert f"login.test gives no token for user 'monitor' ({text}): check MONITOR_SASL_TOKEN_URL" in errors.summary()


def test_once_connected_a_token_that_does_not_come_is_logged_once(caplog):
    errors = ConnectionErrors(settings(**TOKENS))
    errors.connected()
    for _ in range(2):
        errors.hear(token_error('{"error":"invalid_client"}'))
    assert caplog.text.count("login.test gives no token") == 1


class Scripted:
    """A client whose requests fail as the test says, and then succeed. It keeps how long each would have waited."""

    def __init__(self, *names):
        self.names, self.waited = list(names), []

    def list_topics(self, _topic, timeout):
        self.waited.append(timeout)
        if self.names:
            raise KafkaException(KafkaError(CODES[self.names.pop(0)]))

    def poll(self, _seconds):
        pass


def test_an_answer_that_is_late_is_waited_for_longer():
    admin, given = Scripted("_TIMED_OUT", "_TIMED_OUT", "_TRANSPORT"), settings()
    _reach(admin, given, ConnectionErrors(given), time.monotonic() + 60)
    assert admin.waited == [0.4, 0.8, 1.6, 1.6]


def test_no_attempt_is_longer_than_the_time_that_is_left():
    admin, given = Scripted("_TIMED_OUT"), settings()
    _reach(admin, given, ConnectionErrors(given), time.monotonic() + 0.5)
    assert admin.waited[0] == 0.4
    assert 0 < admin.waited[1] <= 0.5


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_without_a_broker_the_sentence_says_what_to_look_at():
    servers = f"127.0.0.1:{free_port()}"
    began, threads = time.monotonic(), set(Path("/proc/self/task").iterdir())
    with pytest.raises(BrokerError, match=f"no Kafka answers at {servers} .*Connection refused"):
        connect(settings(servers, security_protocol="PLAINTEXT"), 0.5)
    assert time.monotonic() - began < 20
    while set(Path("/proc/self/task").iterdir()) - threads:  # a thread of the library may take a moment to end
        assert time.monotonic() - began < 60


def test_an_option_that_the_library_does_not_take_is_refused():
    given = Settings()
    options = group_options(given).extended({"session.timeout.ms": -1})
    with pytest.raises(RefusedError, match=r"the settings for Kafka at .* cannot be used: .*session.timeout.ms"):
        build(Consumer, given, options, ConnectionErrors(given))
