"""A topic that was just changed can be used only after a moment, without a broker."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent import admin
from monitor.broker.confluent.admin import ConfluentAdmin
from monitor.broker.confluent.connecting import ConnectionErrors
from monitor.settings import Settings

NO_LEADER, DENIED = KafkaError(5), KafkaError(29)


class Scripted:
    """A client of the library that answers with what the test has given it; its last answer stays."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def create_partitions(self, _wanted, request_timeout):
        assert request_timeout > 0
        done = Future()
        done.set_result(None)
        return {"beats": done}

    def list_topics(self, topic, timeout):
        assert timeout > 0
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, KafkaException):
            raise found
        return SimpleNamespace(topics={topic: found})


def topic(*leaders, error=None):
    partitions = {number: SimpleNamespace(leader=leader) for number, leader in enumerate(leaders)}
    return SimpleNamespace(error=error, partitions=partitions)


@pytest.fixture
def wait(monkeypatch):
    def wait(*answers):
        client = Scripted(*answers)
        monkeypatch.setattr(admin, "connect", lambda settings, _seconds: (client, ConnectionErrors(settings)))
        ConfluentAdmin(Settings(), 1).extend("beats", 2)
        return len(client.answers)

    return wait


def test_a_new_topic_is_waited_for_through_errors_that_pass(wait):
    leaderless = topic(error=NO_LEADER)
    assert wait(leaderless, KafkaException(NO_LEADER), topic(1), topic(1, -1), topic(1, 2)) == 1


def test_an_error_that_stays_ends_the_wait_at_once(wait):
    with pytest.raises(ClientError, match="not authorised"):
        wait(topic(error=DENIED))


def test_the_wait_for_a_topic_has_an_end(wait, monkeypatch):
    monkeypatch.setattr(admin, "USABLE_SECONDS", 0.0)
    with pytest.raises(ClientError, match="beats is there, and cannot be used") as caught:
        wait(topic(error=NO_LEADER))
    assert caught.value.failure is Failure.PASSING
