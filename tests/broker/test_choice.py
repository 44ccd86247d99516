"""Which Kafka client the settings choose, with and without confluent-kafka."""

from __future__ import annotations

import pytest

from monitor.broker.choice import kafka_client
from monitor.errors import RefusedError
from monitor.settings import Settings

TOKENS = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_username": "monitor",
    "sasl_password": "s3cret",
    "sasl_token_url": "https://id.example/token",
}


@pytest.fixture
def without_confluent(monkeypatch):
    monkeypatch.setattr("monitor.broker.choice.find_spec", lambda _: None)


@pytest.mark.usefixtures("without_confluent")
def test_where_confluent_kafka_is_not_installed_kafka_python_is_taken():
    assert kafka_client(Settings()).name.startswith("kafka-python 3")


@pytest.mark.usefixtures("without_confluent")
@pytest.mark.parametrize("given", [{"kafka_client": "confluent"}, TOKENS])
def test_what_needs_confluent_kafka_is_refused_without_it(given):
    with pytest.raises(RefusedError, match=r"needs confluent-kafka: pip install \"ecg-monitor\[fast\]\""):
        kafka_client(Settings(**given))


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [("auto", "confluent-kafka"), ("confluent", "confluent-kafka"), ("kafka-python", "kafka-python")],
)
def test_where_it_is_installed_the_setting_decides(wanted, taken):
    pytest.importorskip("confluent_kafka")
    assert kafka_client(Settings(kafka_client=wanted)).name.startswith(taken)
