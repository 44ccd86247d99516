"""What a connection has brought is returned before its end is."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaConnectionError

from monitor.broker.kafka_python.sockets import receive


@pytest.fixture
def connection():
    """A transport as `receive` sees it, and the broker's end of its socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield SimpleNamespace(_sock=ours, _protocol=None), theirs


def test_the_last_words_of_a_broker_come_before_the_end_of_its_connection(connection):
    transport, broker = connection
    broker.sendall(b"refused: wrong password")
    broker.close()
    data, error = receive(transport)
    assert (bytes(data), error) == (b"refused: wrong password", None)
    data, error = receive(transport)
    assert bytes(data) == b""
    assert isinstance(error, KafkaConnectionError)


def test_a_connection_that_brings_nothing_yet_has_no_error(connection):
    transport, _ = connection
    data, error = receive(transport)
    assert (bytes(data), error) == (b"", None)
