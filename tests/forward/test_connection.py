"""Requests over real connections to receivers on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import tracemalloc
from contextlib import closing, contextmanager, suppress

import pytest

from monitor.demo.embedded_broker import free_port
from monitor.forward.connection import MAX_WAIT_SECONDS, Connection
from monitor.forward.endpoint import endpoint
from monitor.forward.request import TAKEN, AnswerKind, Request
from monitor.settings import Settings
from tests.certificates import Authority
from tests.forward.pieces import Received, receiver

ASKED = Request(b"[]", {"ce-id": "a"})


def connection(url, seconds=5.0, **given):
    return closing(Connection(endpoint(Settings(forward_url=url, **given), "webhook"), seconds))


@contextmanager
def raw(answer):
    """A server that hands each connection to `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):
                while True:
                    with server.accept()[0] as one:
                        one.recv(65536)
                        answer(one)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_request_is_a_post_with_its_headers_and_its_body():
    received = Received()
    with receiver(received) as port, connection(f"http://127.0.0.1:{port}/hook?a=1") as one:
        assert one.post(ASKED) is TAKEN
    ((path, headers, body),) = received.requests
    assert (path, body) == ("/hook?a=1", b"[]")
    assert (headers["ce-id"], headers["Content-Type"]) == ("a", "application/json")
    assert "Authorization" not in headers


def test_the_token_is_read_again_for_each_request(tmp_path):
    received, file = Received(), tmp_path / "token"
    file.write_text("first\n")
    with receiver(received) as port, connection(f"http://127.0.0.1:{port}", forward_token_file=file) as one:
        one.post(ASKED)
        file.write_text("second")
        one.post(ASKED)
        file.unlink()
        answer = one.post(ASKED)
    assert [headers["Authorization"] for _, headers, _ in received.requests] == ["Bearer first", "Bearer second"]
    assert answer.kind is AnswerKind.UNAVAILABLE
    assert "MONITOR_FORWARD_TOKEN_FILE=" in answer.why


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, "answers 401: is the token in MONITOR_FORWARD_TOKEN_FILE the right one?"),
        (404, "answers 404: is the URL right?"),
        (302, "answers 302: redirects are not followed; name the address itself"),
        (503, "answers 503"),
    ],
)
def test_an_answer_says_what_is_wrong(status, why):
    received, elsewhere = Received(), Received()
    with receiver(elsewhere) as other, receiver(received) as port, connection(f"http://127.0.0.1:{port}/s3cret") as one:
        received.answers = [(status, {"Location": f"http://127.0.0.1:{other}/"})]
        answer = one.post(ASKED)
    assert answer.why == f"http://127.0.0.1:{port} {why}"
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("7", 7), ("999999", MAX_WAIT_SECONDS), ("soon", 0), ("-5", 0), ("9" * 500, MAX_WAIT_SECONDS)),
        *(("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 21 Oct 2099 07:28:00 GMT", MAX_WAIT_SECONDS), ("Wed, 99", 0)),
    ],
)
def test_what_a_receiver_asks_for_is_bounded(header, seconds):
    received = Received()
    received.answers = [(429, {"Retry-After": header})]
    with receiver(received) as port, connection(f"http://127.0.0.1:{port}") as one:
        assert one.post(ASKED).wait_seconds == seconds


def test_a_receiver_that_was_started_again_gets_the_next_request_at_once():
    received = Received()
    with receiver(received) as port, connection(f"http://127.0.0.1:{port}") as one:
        assert one.post(ASKED) is TAKEN
        received.answers = [(200, {"Connection": "close"})]
        assert one.post(ASKED) is TAKEN
        assert one.post(ASKED) is TAKEN
    assert len(received.requests) == 3


def test_an_idle_connection_that_the_receiver_has_closed_is_opened_again():
    def answer_once(one):
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with raw(answer_once) as url, connection(url) as one:
        assert [one.post(ASKED) for _ in range(3)] == [TAKEN] * 3


def test_a_receiver_is_asked_without_an_event():
    with receiver(Received()) as port, connection(f"http://127.0.0.1:{port}") as one:
        assert one.probe(None) is one.probe(ASKED) is one.probe(None) is TAKEN
    with connection(f"http://127.0.0.1:{free_port()}") as one:
        assert {one.probe(asked).kind for asked in (None, ASKED)} == {AnswerKind.UNAVAILABLE}


@pytest.mark.parametrize(
    ("header", "kind"), [({}, AnswerKind.DOUBTFUL), ({"Retry-After": "3"}, AnswerKind.UNAVAILABLE)]
)
def test_an_event_is_not_blamed_where_the_receiver_asks_for_a_pause(header, kind):
    received = Received()
    received.answers = [(503, header)]
    with receiver(received) as port, connection(f"http://127.0.0.1:{port}") as one:
        assert one.post(ASKED).kind is kind


def test_nothing_that_listens_is_said():
    with connection(f"http://127.0.0.1:{free_port()}") as one:
        answer = one.post(ASKED)
    assert answer.kind is AnswerKind.UNAVAILABLE
    assert "nothing listens at http://127.0.0.1:" in answer.why


def test_a_host_without_an_address_is_said():
    with connection("http://nobody.invalid") as one:
        assert "has no address here: is its name right?" in one.post(ASKED).why


def test_a_receiver_that_hangs_with_an_event_has_failed_with_it():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes the connection and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with connection(url, 0.2) as one:
            answer = one.post(ASKED)
    assert (answer.kind, answer.why) == (AnswerKind.FAILED, f"{url} did not answer within 0.2 s")


def test_an_answer_in_drips_is_not_waited_for():
    ended = threading.Event()

    def drip(one):
        with suppress(OSError):
            one.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.05):
                one.sendall(b"X: y\r\n")

    with raw(drip) as url, connection(url, 0.4) as one:
        began = time.monotonic()
        answer = one.post(ASKED)
        assert time.monotonic() - began < 20
        ended.set()
    assert (answer.kind, answer.why) == (AnswerKind.FAILED, f"{url} did not answer within 0.4 s")


def test_an_answer_without_end_counts_by_its_status():
    ended = threading.Event()

    def flood(one):
        with suppress(OSError):
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
            while not ended.is_set():
                one.sendall(b"x" * 65536)

    with raw(flood) as url, connection(url) as one:
        assert one.post(ASKED) is TAKEN
        ended.set()


OK, CHUNKS = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (CHUNKS + b"2\r\nok\r\n0\r\n\r\n", AnswerKind.TAKEN),
        (CHUNKS + b"-5\r\nabc\r\n", AnswerKind.TAKEN),
        (CHUNKS + b"-1\r\n" + b"x" * 30_000_000, AnswerKind.TAKEN),
        (OK + b"Content-Length: -5\r\n\r\n", AnswerKind.TAKEN),
        (OK + b"Content-Length: x\r\n\r\n", AnswerKind.TAKEN),
        (OK + (b"a: " + b"x" * 65_000 + b"\r\n") * 90 + b"\r\n", AnswerKind.TAKEN),
    ],
)
def test_a_hostile_answer_takes_little_memory_and_ends_nothing(answer, kind):
    def serve(one):
        with suppress(OSError):
            one.sendall(answer)

    with raw(serve) as url, connection(url) as one:
        tracemalloc.start()
        assert one.post(ASKED).kind is kind
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "junk", [b"SSH-2.0-x\r\n", b"", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X" * 99999]
)
def test_what_does_not_speak_http_is_said(junk):
    with raw(lambda one: one.sendall(junk)) as url, connection(url) as one:
        answer = one.post(ASKED)
    assert answer.kind is AnswerKind.DOUBTFUL
    assert url in answer.why


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


def tls(authority, host="localhost"):
    identity = authority.issue(host.replace(".", "-"), host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    return context


def test_tls_is_checked_against_the_file_of_certificates(authority):
    received = Received()
    with receiver(received, context=tls(authority)) as port:
        url = f"https://localhost:{port}"
        with connection(url, forward_cafile=authority.file) as one:
            assert one.post(ASKED) is TAKEN
        with connection(url) as one:
            answer = one.post(ASKED)
    assert len(received.requests) == 1
    assert "the certificate of https://localhost" in answer.why
    assert "MONITOR_FORWARD_CAFILE" in answer.why


def test_a_certificate_for_another_host_is_not_accepted(authority):
    received = Received()
    context, given = tls(authority, "other.example"), {"forward_cafile": authority.file}
    with receiver(received, context=context) as port, connection(f"https://localhost:{port}", **given) as one:
        assert "cannot be accepted" in one.post(ASKED).why
    assert received.requests == []


def test_tls_to_a_port_without_it_is_said():
    with receiver(Received()) as port, connection(f"https://localhost:{port}") as one:
        assert f"TLS with https://localhost:{port} fails" in one.post(ASKED).why
