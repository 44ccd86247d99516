"""TLS, logins and certificates on a running broker: what connects, and what each failure says."""

from __future__ import annotations

import base64
import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import UserScramCredentialDeletion, UserScramCredentialUpsertion

from monitor.beats import beat_file
from monitor.beats.stream import encode
from monitor.broker import Publisher, Reader, TopicPlan, create_topics, missing_topics
from monitor.broker.kafka_python.bootstrap import Client
from monitor.errors import BrokerError
from monitor.records.record import Message
from monitor.settings import Settings
from tests.conftest import CLIENTS, settings_on
from tests.e2e.daemon import Daemon, clean_environment, read_json
from tests.e2e.secured_kafka import OPEN, PASSWORD, locked_kafka

pytestmark = pytest.mark.kafka
QUICK_SECONDS = 8.0  # the client alone tries for 15, the daemon's for 60
WRONG = "wr0ng-Sentinel/word"
SECRETS = [
    form
    for word in (PASSWORD, WRONG)
    for form in (word, base64.b64encode(b"\0monitor\0" + word.encode()).decode(), word.encode().hex())
]


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    home = os.environ.get("KAFKA_HOME")
    if not home or not shutil.which("java"):
        reason = "needs an Apache Kafka folder in KAFKA_HOME, and Java"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    with locked_kafka(Path(home).resolve(), tmp_path_factory.mktemp("locked")) as found:
        yield found


def settings_with(given, **overrides):
    return settings_on(given["bootstrap_servers"], **(given | overrides))


with_each_client = pytest.mark.parametrize("client", CLIENTS)


@with_each_client
@pytest.mark.parametrize("way", OPEN)
def test_topics_are_created_and_records_published_and_read_with_every_login(locked, way, client):
    settings = settings_with(OPEN[way](locked), kafka_client=client)
    list(create_topics(settings, TopicPlan(2, 1, 1)))
    assert missing_topics(settings) == []
    with closing(Publisher(settings)) as publisher:
        publisher.send(Message(settings.alerts_topic, b"bed", b"alert"))
        publisher.flush()
    with Reader(settings, settings.alerts_topic, from_beginning=True) as reader:
        assert [record.value for record in reader.until_end()] == [b"alert"]


@with_each_client
@pytest.mark.parametrize("way", ["SCRAM-SHA-512", "mutual TLS"])
def test_the_daemon_and_the_commands_work_end_to_end(locked, way, model_file, ecg_data, tmp_path, client):
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    given = locked.mutual() if way == "mutual TLS" else locked.login("SCRAM", way, tmp_path / "password")
    settings = settings_with(given, kafka_client=client)
    variables = variables_of(given) | {"MONITOR_EPISODE_OPEN": "1", "MONITOR_LOG_LEVEL": "DEBUG"}
    list(create_topics(settings, TopicPlan(2, 1, 1)))
    beats = beat_file.read(ecg_data / "ECG5000_TEST.tsv")
    with Daemon(settings, model_file, tmp_path / "log", **variables) as daemon:
        with closing(Publisher(settings)) as publisher:
            for samples in beats.samples[beats.abnormal][:20]:
                publisher.send(Message(settings.beats_topic, b"bed 7", encode(samples, "float32")))
            publisher.flush()
        daemon.wait_until(lambda: daemon.metric("alerts_total") >= 1, "alerted")
        assert daemon.get("/readyz")[0] == 200
        assert_secret(Path(f"/proc/{daemon.process.pid}/cmdline").read_text())
        assert daemon.terminate() == 0
    assert read_json(settings, settings.alerts_topic)[0]["source"] == "bed 7"
    assert client == "confluent" or "kafka.net.connection" in daemon.log()  # the client's own lines are there too
    assert_secret(daemon.log())


def variables_of(given):
    return {f"MONITOR_{name.upper()}": str(value) for name, value in given.items()}


def assert_secret(text):
    assert not [form for form in SECRETS if form in text]


def run(given, *arguments, **more):
    """A command in a process of its own."""
    topics = {f"{name}_topic": getattr(settings_on("x"), f"{name}_topic") for name in ("beats", "alerts")}
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        env=clean_environment() | variables_of(given | topics | more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SHUT = {
    "wrong password": (
        lambda locked: locked.login("LOGIN") | {"sasl_password": WRONG},
        ("refuses the login of user 'monitor' with PLAIN", "check MONITOR_SASL_USERNAME and the password"),
    ),
    "wrong password, SCRAM": (
        lambda locked: locked.login("LOGIN", "SCRAM-SHA-512") | {"sasl_password": WRONG},
        ("refuses the login of user 'monitor' with SCRAM-SHA-512", "invalid credentials"),
    ),
    "wrong password, no TLS": (
        lambda locked: locked.login("CLEAR", "SCRAM-SHA-256") | {"sasl_password": WRONG},
        ("refuses the login of user 'monitor'",),
    ),
    "unknown user": (
        lambda locked: locked.login("LOGIN", "SCRAM-SHA-256") | {"sasl_username": "nobody"},
        ("refuses the login of user 'nobody'", "that the broker knows this user for this mechanism"),
    ),
    "mechanism not enabled": (
        lambda locked: locked.login("SCRAM"),
        ("does not take MONITOR_SASL_MECHANISM=PLAIN: set one of SCRAM-SHA-512",),
    ),
    "a login where none is wanted": (
        lambda locked: locked.login("LOGIN") | {"bootstrap_servers": locked.at("TLS")["bootstrap_servers"]},
        ("takes no login: set MONITOR_SECURITY_PROTOCOL=SSL",),
    ),
    "no login where one is wanted": (
        lambda locked: locked.at("LOGIN") | {"security_protocol": "SSL"},
        ("wants a login", "set SASL_SSL with MONITOR_SASL_MECHANISM (it takes PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)"),
    ),
    "no login where one is wanted, no TLS": (
        lambda locked: {"bootstrap_servers": locked.at("CLEAR")["bootstrap_servers"]},
        ("wants a login", "set SASL_PLAINTEXT"),
    ),
    "wrong CA": (
        lambda locked: locked.at("TLS") | {"ssl_cafile": str(locked.stranger.file)},
        ("is not signed by anyone in", "stranger.pem", "MONITOR_SSL_CAFILE"),
    ),
    "no CA": (
        lambda locked: {name: value for name, value in locked.at("TLS").items() if name != "ssl_cafile"},
        ("this system's certificates, since MONITOR_SSL_CAFILE is not set",),
    ),
    "expired certificate": (lambda locked: locked.at("EXPIRED"), ("has expired: the broker needs a new one",)),
    "certificate of another host": (
        lambda locked: locked.at("ELSEWHERE"),
        ("is for another host", "'localhost'", "MONITOR_BOOTSTRAP_SERVERS"),
    ),
    "address instead of the name": (lambda locked: locked.at("TLS", "127.0.0.1"), ("is for another host", "127.0.0.1")),
    "no client certificate": (
        lambda locked: locked.at("MUTUAL"),
        ("wants a certificate of ours", "set MONITOR_SSL_CERTFILE and MONITOR_SSL_KEYFILE"),
    ),
    "a stranger's client certificate": (
        lambda locked: locked.mutual(locked.foreign),
        ("does not accept the certificate in", "foreign.crt.pem", "signed by a CA that the broker trusts"),
    ),
    "TLS where there is none": (
        lambda locked: locked.at("TLS") | {"bootstrap_servers": locked.open_address},
        ("speaks no TLS, and MONITOR_SECURITY_PROTOCOL=SSL", "set PLAINTEXT, or name another port"),
    ),
    "no TLS where there is": (
        lambda locked: {"bootstrap_servers": locked.at("TLS")["bootstrap_servers"]},
        ("speaks TLS, and MONITOR_SECURITY_PROTOCOL=PLAINTEXT is without: set SSL",),
    ),
}


@with_each_client
@pytest.mark.parametrize("case", SHUT)
def test_a_refused_login_is_reported_at_once_and_at_every_attempt(locked, case, client):
    given, expected = SHUT[case][0](locked) | {"kafka_client": client}, SHUT[case][1]
    before = threading.active_count(), open_files()
    for _ in range(3):  # the client by itself loses the broker's last words about every second time
        began = time.monotonic()
        with pytest.raises(BrokerError) as caught:
            missing_topics(Settings(**given))
        assert time.monotonic() - began < QUICK_SECONDS
        sentence = str(caught.value)
        assert all(words in sentence for words in (*expected, given["bootstrap_servers"])), sentence
        assert "\n" not in sentence
        assert_secret(sentence)
    assert (threading.active_count(), open_files()) == before


def open_files():
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("case", "arguments", "form"),
    [
        ("wrong password", ["run"], "text"),
        ("wrong password, SCRAM", ["run"], "json"),
        ("wrong password, no TLS", ["topics", "create"], "text"),
        ("expired certificate", ["alerts"], "text"),
        ("wrong password", ["check"], "text"),
    ],
)
@with_each_client
def test_a_command_reports_it_in_one_line_and_logs_no_secret_at_debug(
    locked, model_file, case, arguments, form, client
):
    given = SHUT[case][0](locked) | {"kafka_client": client}
    done = run(given, *arguments, model=model_file, http_port=0, log_level="DEBUG", log_format=form)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert all(words in lines[-1] for words in SHUT[case][1])
    assert arguments == ["run"] or len(lines) == 1
    assert "Traceback" not in done.stderr
    assert_secret(done.stdout + done.stderr)
    assert arguments != ["check"] or "MONITOR_SASL_PASSWORD=" in done.stdout


def test_publish_reports_it_too(locked, ecg_data):
    done = run(SHUT["wrong password"][0](locked), "publish", str(ecg_data / "ECG5000_TRAIN.tsv"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "refuses the login" in done.stderr


@with_each_client
def test_a_server_that_refuses_does_not_prevent_the_use_of_another(locked, client):
    servers = f"{locked.at('EXPIRED')['bootstrap_servers']},{locked.at('TLS')['bootstrap_servers']}"
    assert missing_topics(Settings(**(locked.at("TLS") | {"bootstrap_servers": servers, "kafka_client": client})))


@with_each_client
def test_a_server_that_is_down_does_not_hide_the_refusal_of_another(locked, client):
    servers = f"127.0.0.1:1,{locked.at('EXPIRED')['bootstrap_servers']}"
    given = locked.at("EXPIRED") | {"bootstrap_servers": servers, "broker_timeout_seconds": 3, "kafka_client": client}
    with pytest.raises(BrokerError, match="has expired"):
        missing_topics(Settings(**given))


def test_a_connected_client_that_is_refused_later_logs_it(locked, caplog, monkeypatch):
    clients = []

    class Recorded(Client):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            clients.append(self)

    monkeypatch.setattr("monitor.broker.kafka_python.bootstrap.Client", Recorded)
    with closing(KafkaAdminClient(bootstrap_servers=locked.open_address)) as admin:
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion("leaver", "SCRAM-SHA-512", PASSWORD)])
        given = locked.login("SCRAM", "SCRAM-SHA-512") | {"sasl_username": "leaver", "kafka_client": "kafka-python"}
        settings = settings_with(given)
        list(create_topics(settings, TopicPlan(1, 1, 1)))
        with Reader(settings, settings.alerts_topic, from_beginning=True) as reader:
            admin.alter_user_scram_credentials([UserScramCredentialDeletion("leaver", "SCRAM-SHA-512")])
            clients[-1].close_connection(1)  # the broker would not close it by itself
            deadline = time.monotonic() + 30
            while "refuses the login of user 'leaver'" not in caplog.text:
                reader.poll(0.1)
                assert time.monotonic() < deadline
    assert_secret(caplog.text)
