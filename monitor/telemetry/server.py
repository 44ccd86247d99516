"""The HTTP server of the monitor: `/metrics`, `/healthz` and `/readyz`, for reading only."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from monitor.errors import RefusedError
from monitor.telemetry.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

MAX_CLIENTS = 16
CLIENT_SECONDS = 10.0  # for a whole request, however slowly its bytes come or its answer is read


class HealthPages(Protocol):
    """What the two pages of health say: problems by the part that has them. `now` is of the monotonic clock."""

    def live(self, now: float) -> dict[str, str]:
        """Problems that a restart may fix."""

    def ready(self, now: float) -> dict[str, str]:
        """Problems that keep alarms from leaving."""


@contextmanager
def serve(
    host: str,
    port: int,
    registry: CollectorRegistry,
    health: HealthPages,
    clock: Clock = SYSTEM_CLOCK,
    *,
    port_setting: str = "MONITOR_HTTP_PORT",
) -> Iterator[int]:
    """Answer `/metrics`, `/healthz` and `/readyz` until the block ends; gives the port.

    Raises RefusedError when the monitor cannot listen on this address; `port_setting` is the setting of the port.
    """

    class Handler(_Handler):
        pass

    Handler.registry, Handler.health, Handler.clock = registry, health, clock
    try:
        server = _Server((host, port), Handler, clock)
    except (OSError, OverflowError) as error:
        raise RefusedError(
            f"{host}:{port} cannot be listened on ({error}): set MONITOR_HTTP_HOST or {port_setting}"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    """One thread for each client, at most MAX_CLIENTS: a new client is answered, and the oldest is disconnected.

    Refusing new clients instead would let a few slow ones keep the probes out.
    """

    daemon_threads = True
    block_on_close = False  # a slow client must not delay the exit
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Any, float] = {}  # a client's socket -> when it connected, oldest first
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._since[request] = self._clock.monotonic()
        self._disconnect(list(self._since)[:-MAX_CLIENTS])
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Disconnect clients that take too long. The base class calls this twice a second.

        The handler's own timeout holds for a single read: a client that sends one byte at a time never meets it.
        """
        latest = self._clock.monotonic() - CLIENT_SECONDS
        self._disconnect([client for client, since in list(self._since.items()) if since < latest])

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        self._disconnect(list(self._since))

    def _disconnect(self, clients: list[Any]) -> None:
        """End these connections. The thread of each wakes up with an error and closes its socket."""
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Log a defect with its traceback; write nothing about a client that disconnected.

        A defect in a page must not end the monitoring: a probe that comes again would end it again and again.
        """
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("a page of the HTTP server failed: this is a defect", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """Answers one client. `serve` makes a subclass and sets its three class attributes."""

    registry: CollectorRegistry
    health: HealthPages
    clock: Clock
    timeout = 5  # seconds for one read or one write
    server_version = "ecg-monitor"
    sys_version = ""

    def parse_request(self) -> bool:
        """Read the request line and the headers; answer 405 to every method but GET and HEAD."""
        if not super().parse_request():
            return False
        is_reading = self.command in ("GET", "HEAD")
        if not is_reading:
            self._answer(405, "text/plain", b"only GET and HEAD are answered here\n")
        return is_reading

    def do_GET(self) -> None:
        now, page = self.clock.monotonic(), self.path.partition("?")[0]
        if page == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.registry))
        elif page == "/healthz":
            self._answer_verdict(self.health.live(now))
        elif page == "/readyz":
            self._answer_verdict(self.health.ready(now))
        else:
            self._answer(404, "text/plain", b"the pages are /metrics, /healthz and /readyz\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer_verdict(self, problems: dict[str, str]) -> None:
        """200 without problems, else 503; the body is JSON with the problems."""
        body = orjson.dumps({"ok": not problems, "wrong": problems}, option=orjson.OPT_APPEND_NEWLINE)
        self._answer(503 if problems else 200, "application/json", body)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing: probes ask every few seconds."""
