"""A failed TLS handshake leaves no socket open, and the client as shipped gets ordinary sockets."""

from __future__ import annotations

import socket
import ssl

import pytest

from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.config import client_config
from monitor.settings import Settings


def refused(settings):
    """Our socket after a handshake with a server that speaks no TLS."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        encrypted = client_config(settings, 1)["ssl_context"].wrap_socket(
            ours, server_hostname="broker", do_handshake_on_connect=False
        )
        with pytest.raises(ssl.SSLError):
            encrypted.do_handshake()
    return encrypted


def test_a_failed_handshake_closes_its_socket():
    assert refused(Settings(security_protocol="SSL")).fileno() == -1


def test_a_client_that_is_not_known_has_the_sockets_of_the_standard_library(monkeypatch):
    monkeypatch.setattr(known_versions, "is_known", lambda: False)
    settings = Settings(security_protocol="SSL")
    assert client_config(settings, 1)["ssl_context"].sslsocket_class is ssl.SSLSocket
    with refused(settings) as encrypted:
        assert encrypted.fileno() >= 0
