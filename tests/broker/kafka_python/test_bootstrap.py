"""A client that cannot connect leaves nothing behind."""

from __future__ import annotations

import threading

import pytest

from monitor.broker import missing_topics
from monitor.demo.embedded_broker import free_port
from monitor.errors import BrokerError
from monitor.settings import Settings


def test_a_failed_attempt_to_connect_leaves_no_thread_behind():
    settings = Settings(
        bootstrap_servers=f"127.0.0.1:{free_port()}", broker_timeout_seconds=1, kafka_client="kafka-python"
    )
    before = set(threading.enumerate())
    with pytest.raises(BrokerError, match="no Kafka answers"):
        missing_topics(settings)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
