"""One connection to a receiver: POSTs a body, within a time limit, and says in a sentence what went wrong.

It follows no redirect and asks no proxy. Of an answer it reads little: nothing but its status and `Retry-After` counts.
"""

from __future__ import annotations

import email.utils
import http.client
import io
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from monitor.errors import RefusedError
from monitor.forward.request import TAKEN, Answer, AnswerKind, Request, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.forward.endpoint import Endpoint

MAX_HEADER_BYTES = MAX_ANSWER_BYTES = 64 * 1024
MAX_WAIT_SECONDS = 300.0  # of what a receiver may ask for


class _BoundedStream(io.RawIOBase):
    """Reads so many bytes of another stream, and ends."""

    def __init__(self, stream: io.RawIOBase, most_bytes: int) -> None:
        self._stream, self._left = stream, most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        with memoryview(buffer)[: self._left] as part:
            count = self._stream.readinto(part) if self._left else 0
        self._left -= count or 0
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer of a bounded size, with its headers: the library's own bound is 6 MiB."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        stream = sock.makefile("rb", buffering=0)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedStream(stream, MAX_HEADER_BYTES + MAX_ANSWER_BYTES))


class Connection:
    """Is kept open between requests. For one thread."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        self._endpoint, self._timeout = endpoint, timeout_seconds
        self._http: http.client.HTTPConnection | None = None

    def post(self, request: Request) -> Answer:
        """Send one request. Never raises for what the network or the receiver does."""
        was_open = self._http is not None
        answer = self._tried(request)
        if was_open and answer is None:  # the receiver had closed an idle connection; this one is new
            answer = self._tried(request)
        return answer or Answer(AnswerKind.DOUBTFUL, self._sentence(http.client.HTTPException()))

    def probe(self, request: Request | None) -> Answer:
        """Send a request that changes nothing; None: only open a new connection."""
        if request is not None:
            return self.post(request)
        self.close()
        return self._tried(None) or Answer(AnswerKind.DOUBTFUL, self._sentence(http.client.HTTPException()))

    def _tried(self, request: Request | None) -> Answer | None:
        """The answer; None where the receiver hung up without one."""
        try:
            token = self._endpoint.token()
            self._http = self._http or self._connected()
        except RefusedError as error:
            return Answer(AnswerKind.UNAVAILABLE, str(error))
        except (OSError, http.client.HTTPException) as error:
            return Answer(AnswerKind.UNAVAILABLE, self._sentence(error))
        if request is None:
            return TAKEN
        headers = {"User-Agent": "ecg-monitor", "Content-Type": "application/json", **request.headers}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            return self._post(self._http, request.body, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            return None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            is_hung = isinstance(error, TimeoutError)  # it may hang with this event alone
            return Answer(AnswerKind.FAILED if is_hung else AnswerKind.DOUBTFUL, self._sentence(error))

    def _post(self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> Answer:
        with self._limited(connection):
            connection.request("POST", self._endpoint.target, body, headers)
            response = connection.getresponse()
            if response.length is not None and response.length <= MAX_ANSWER_BYTES:
                response.read()
        if not response.isclosed() or response.will_close:  # a body that is longer, or in chunks, is not waited for
            self.close()
        return self._answer(response)

    def _connected(self) -> http.client.HTTPConnection:
        where = self._endpoint
        if where.tls is None:
            connection = http.client.HTTPConnection(where.host, where.port, timeout=self._timeout)
        else:
            connection = http.client.HTTPSConnection(where.host, where.port, timeout=self._timeout, context=where.tls)
        connection.response_class = _BoundedResponse
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    @contextmanager
    def _limited(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        """End the connection after the time limit. The socket's own holds for one read, and bytes may drip."""
        ended = threading.Event()
        sock = connection.sock

        def end() -> None:
            ended.set()
            with suppress(OSError):  # that of an SSLSocket ends TLS first: a write under way would go on without it
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

        timer = threading.Timer(self._timeout, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if ended.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
        if ended.is_set():  # it ended within the headers, which look whole
            raise TimeoutError

    def _answer(self, response: http.client.HTTPResponse) -> Answer:
        kind, status = kind_of(response.status), response.status
        if kind is AnswerKind.TAKEN:
            return TAKEN
        wait_seconds = _wait_seconds(response)
        if wait_seconds and kind is AnswerKind.DOUBTFUL:
            kind = AnswerKind.UNAVAILABLE
        return Answer(kind, f"{self._endpoint} answers {status}{_advice(status)}", wait_seconds)

    def _sentence(self, error: Exception) -> str:
        where = self._endpoint
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {where} cannot be accepted ({error.verify_message.rstrip('.')}): name the host as "
                "the certificate does, and its CA in MONITOR_FORWARD_CAFILE"
            )
        if isinstance(error, ssl.SSLError):
            return f"TLS with {where} fails ({error.reason or 'no reason'}): does that port speak TLS 1.2 or 1.3?"
        known: dict[type[Exception], str] = {
            TimeoutError: f"{where} did not answer within {self._timeout:g} s",
            ConnectionRefusedError: f"nothing listens at {where}: is it running, and is the port right?",
            socket.gaierror: f"the host of {where} has no address here: is its name right?",
            http.client.HTTPException: f"{where} does not speak HTTP, or hangs up: is the port right, and is it TLS?",
        }
        reason = getattr(error, "strerror", None) or type(error).__name__
        return next((text for kind, text in known.items() if isinstance(error, kind)), f"{where} fails: {reason}")

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        self._http = None


def _advice(status: int) -> str:
    if status in {401, 403}:
        return ": is the token in MONITOR_FORWARD_TOKEN_FILE the right one?"
    if status in {404, 405, 410, 415}:
        return ": is the URL right?"
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
        return ": redirects are not followed; name the address itself"
    return ""


def _wait_seconds(response: http.client.HTTPResponse) -> float:
    """What `Retry-After` asks for, in seconds or as a date, within bounds."""
    text = response.getheader("Retry-After", "").strip()[:64]
    if text.isascii() and text.isdecimal():
        return min(float(text), MAX_WAIT_SECONDS)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)
