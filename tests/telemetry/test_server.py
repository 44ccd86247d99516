"""The pages of the HTTP server, and that no client can keep it from answering."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress

import orjson
import pytest
from prometheus_client import CollectorRegistry, Gauge

from monitor.errors import RefusedError
from monitor.settings import Settings
from monitor.telemetry.clock import SYSTEM_CLOCK
from monitor.telemetry.health import Health
from monitor.telemetry.server import CLIENT_SECONDS, MAX_CLIENTS, serve
from tests.clocks import ManualClock


def healthy(clock=SYSTEM_CLOCK, **facts) -> Health:
    return Health(clock.monotonic(), **facts)


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_pages_answer():
    health = healthy(joined=True)
    with serve("127.0.0.1", 0, CollectorRegistry(), health) as port:
        assert get(port, "/healthz") == (200, '{"ok":true,"wrong":{}}\n')
        status, body = get(port, "/readyz")
        assert (status, list(orjson.loads(body)["wrong"])) == (503, ["start"])
        assert get(port, "/metrics")[0] == 200
        assert get(port, "/metrics?name[]=x")[0] == 200
        assert get(port, "/")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_only_reading_is_allowed(method):
    with serving() as port:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/healthz", method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5)
        with refused.value as answer:
            assert (answer.code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_head_gets_the_response_of_get_without_the_body():
    with serving() as port:
        assert get(port, "/healthz", "HEAD") == (200, "")
        assert get(port, "/nothing", "HEAD") == (404, "")


def test_the_pages_are_served_on_the_loopback_address_by_default():
    assert Settings().http_host == "127.0.0.1"


@contextmanager
def serving(registry=None, clock=SYSTEM_CLOCK):
    """The pages of a healthy monitor. At the end no thread is left, and no client delays it."""
    before = threading.active_count()
    with serve("127.0.0.1", 0, registry or CollectorRegistry(), healthy(clock), clock) as port:
        yield port
        ended = time.monotonic()
    assert time.monotonic() - ended < 4  # less than a read may take
    wait_until(lambda: threading.active_count() <= before)


def wait_until(done, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        os.sched_yield()


def connect(port, request=b""):
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    client.sendall(request)
    return client


@pytest.mark.parametrize("request_start", [b"", b"GET /hea", b"GET /healthz HTTP/1.1\r\nX: y\r\n"])
def test_clients_with_incomplete_requests_block_neither_other_clients_nor_the_shutdown(request_start):
    with serving() as port, ExitStack() as silent:
        before = threading.active_count()
        for _ in range(100):
            silent.enter_context(connect(port, request_start))
            assert threading.active_count() - before <= 2 * MAX_CLIENTS
        for _ in range(5):
            began = time.monotonic()
            assert get(port, "/healthz")[0] == 200
            assert time.monotonic() - began < 4
        wait_until(lambda: threading.active_count() - before <= MAX_CLIENTS)


def test_a_client_that_sends_a_byte_at_a_time_is_disconnected():
    time_passes = ManualClock()
    with serving(clock=time_passes.clock) as port, connect(port, b"GET /healthz HTTP/1.1\r\nX: ") as client:
        client.settimeout(0.05)
        assert not is_hung_up_on(client)
        time_passes.advance(CLIENT_SECONDS + 1)
        wait_until(lambda: is_hung_up_on(client))


def is_hung_up_on(client):
    try:
        client.sendall(b"y")
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_client_that_never_reads_is_disconnected():
    registry = CollectorRegistry()
    large = Gauge("large", "more than any socket's buffer", ["name"], registry=registry)
    for count in range(20_000):
        large.labels("x" * 400 + str(count)).set(count)
    time_passes = ManualClock()
    with serving(registry, time_passes.clock) as port:
        before = threading.active_count()
        with connect(port, b"GET /metrics HTTP/1.0\r\n\r\n"):
            wait_until(lambda: threading.active_count() > before)
            assert get(port, "/healthz")[0] == 200
            time_passes.advance(CLIENT_SECONDS + 1)
            wait_until(lambda: threading.active_count() == before)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /" + b"x" * 2**20 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 2**20 + b"\r\n\r\n", b"431"),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\x01" + bytes(1000) + b"\n", b"400"),
    ],
)
def test_an_oversized_request_is_refused(request_text, status):
    with serving() as port:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client, suppress(ConnectionError):
            client.sendall(request_text)
            assert status in client.recv(1000)
        assert get(port, "/healthz")[0] == 200


def test_a_client_that_hangs_up_leaves_no_traceback(capsys):
    hang_up = struct.pack("ii", 1, 0)
    with serve("127.0.0.1", 0, CollectorRegistry(), healthy()) as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hang_up)
        assert get(port, "/healthz")[0] == 200
    assert capsys.readouterr().err == ""


def test_a_port_in_use_is_refused_with_the_setting_that_changes_it():
    with (
        serve("127.0.0.1", 0, CollectorRegistry(), healthy()) as port,
        pytest.raises(RefusedError, match="MONITOR_HTTP_PORT"),
        serve("127.0.0.1", port, CollectorRegistry(), healthy()),
    ):
        pass


def test_a_defect_in_a_page_is_logged_with_its_traceback_and_the_other_pages_answer(caplog):
    class Broken(Health):
        def ready(self, now):
            raise TypeError(f"planted {now}")

    with serve("127.0.0.1", 0, CollectorRegistry(), Broken(SYSTEM_CLOCK.monotonic())) as port:
        with pytest.raises(OSError, match=r"without response|Remote end closed"):
            get(port, "/readyz")
        assert get(port, "/healthz")[0] == 200
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "this is a defect" in record.message
    assert "planted" in str(record.exc_info[1])
