"""Settings become options of librdkafka, and no password is shown."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Producer, murmur2
from kafka.partitioner.default import murmur2 as hash_of_kafka_python

from monitor.broker.confluent.config import client_options, group_options, producer_options, topic_options
from monitor.errors import RefusedError
from monitor.settings import Settings
from tests.certificates import Authority

PASSWORD = "s3ntinel"
LOGIN = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "monitor", "sasl_password": PASSWORD}


def test_the_library_takes_the_options_of_every_client():
    settings = Settings(**LOGIN)
    Consumer(group_options(settings) | {"log_level": 0}).close()
    Consumer(topic_options(settings, 20) | {"log_level": 0}).close()
    Producer(producer_options(settings, None, 5) | {"log_level": 0}).close()
    assert Producer(producer_options(settings, "a name", 0) | {"log_level": 0}) is not None


def test_a_login_is_passed_on():
    options = client_options(Settings(**LOGIN, sasl_mechanism="SCRAM-SHA-512"))
    assert options["security.protocol"] == "SASL_PLAINTEXT"
    assert (options["sasl.mechanism"], options["sasl.username"]) == ("SCRAM-SHA-512", "monitor")
    assert options["sasl.password"] == PASSWORD


@pytest.mark.parametrize("build", [client_options, group_options, lambda settings: topic_options(settings, 20)])
def test_the_text_of_the_options_has_no_password(build):
    options = build(Settings(**LOGIN))
    assert PASSWORD in options.values()
    assert PASSWORD not in f"{options!r} {options}"
    assert "'sasl.username': 'monitor'" in repr(options)


def test_without_security_there_is_no_option_for_it():
    options = client_options(Settings())
    assert not [name for name in options if name.startswith(("sasl.", "ssl."))]


def test_tls_takes_the_files_of_the_settings(tmp_path):
    authority = Authority(tmp_path, "ca")
    ours = authority.issue("ours")
    given = {"ssl_cafile": authority.file, "ssl_certfile": ours.certificate, "ssl_keyfile": ours.key}
    options = client_options(Settings(security_protocol="SSL", **given))
    assert options["ssl.ca.location"] == str(authority.file)
    assert options["ssl.certificate.location"] == str(ours.certificate)
    assert options["ssl.key.location"] == str(ours.key)
    assert options["ssl.endpoint.identification.algorithm"] == "https"


def test_a_certificate_with_its_key_in_one_file_is_both(tmp_path):
    ours = Authority(tmp_path, "ca").issue("ours")
    options = client_options(Settings(security_protocol="SSL", ssl_certfile=ours.both))
    assert options["ssl.key.location"] == options["ssl.certificate.location"] == str(ours.both)


def test_without_a_file_the_certificates_of_the_system_are_trusted():
    assert client_options(Settings(security_protocol="SSL"))["ssl.ca.location"]


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(RefusedError, match=r"MONITOR_SSL_CAFILE=.*nowhere: cannot be read"):
        client_options(Settings(security_protocol="SSL", ssl_cafile=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("max_wait_ms", "least_bytes", "wait_ms"), [(20, 65536, 20), (5, 65536, 5), (4, 1, 100), (0, 1, 100)]
)
def test_the_broker_collects_beats_only_for_a_time_that_does_not_keep_an_idle_consumer_busy(
    max_wait_ms, least_bytes, wait_ms
):
    options = group_options(Settings(max_wait_ms=max_wait_ms))
    assert (options["fetch.min.bytes"], options["fetch.wait.max.ms"]) == (least_bytes, wait_ms)


@pytest.mark.parametrize(("session_ms", "heartbeat_ms"), [(45000, 3000), (6000, 2000), (1000, 333)])
def test_a_short_session_has_more_frequent_heartbeats(session_ms, heartbeat_ms):
    assert group_options(Settings(session_timeout_ms=session_ms))["heartbeat.interval.ms"] == heartbeat_ms


@pytest.mark.parametrize(("session_ms", "poll_ms"), [(45_000, 300_000), (400_000, 400_000)])
def test_the_group_waits_for_a_poll_at_least_as_long_as_for_a_heartbeat(session_ms, poll_ms):
    options = group_options(Settings(session_timeout_ms=session_ms))
    assert options["max.poll.interval.ms"] == poll_ms
    Consumer(options | {"log_level": 0}).close()


def test_a_producer_has_a_name_only_for_transactions():
    assert "transactional.id" not in producer_options(Settings(), None, 0)
    options = producer_options(Settings(), "group.one", 0)
    assert options["transactional.id"] == "group.one"
    assert "message.timeout.ms" not in options  # it may not be longer than the transaction


@pytest.mark.parametrize("key", [b"", b"bed 7", b"\xff\x00", b"a" * 1000, *(b"%d" % number for number in range(50))])
def test_a_key_has_the_same_partition_with_both_clients(key):
    assert producer_options(Settings(), None, 0)["partitioner"] == "murmur2_random"
    assert murmur2(key, 12) == (hash_of_kafka_python(key) & 0x7FFFFFFF) % 12
