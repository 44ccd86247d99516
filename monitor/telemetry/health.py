"""Is the monitor alive, is it ready, and the small server that says so beside `/metrics`.

Alive means that the loop turns and that no partition with lag stands still; it does not depend on the broker, whose
outage must not restart the fleet. Ready means that it would raise an alarm now.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HUNG_SECONDS = 120.0  # a turn waits for the broker some 20 s at most
STUCK_SECONDS = 60.0
MAX_CLIENTS = 16
CLIENT_SECONDS = 10.0  # for all of a request, however slowly it comes or is read


@dataclass(slots=True)
class Health:
    """Facts that the loop notes and the probes read; each is one assignment, so no lock is needed."""

    started: bool = False  # model warm, topics there, group asked for
    joined: bool = False
    broker_failure: str = ""
    turned: float = field(default_factory=time.monotonic)
    moved: dict[int, float] = field(default_factory=dict)  # partition -> when it last had no lag or got on

    def note_partitions(self, lag: Mapping[int, int], read: set[int], now: float) -> None:
        """Note which assigned partitions got on; while the broker is away none is blamed for standing still."""
        excused = read if not self.broker_failure else lag.keys()
        self.moved = {
            partition: now if behind == 0 or partition in excused else self.moved.get(partition, now)
            for partition, behind in lag.items()
        }

    def live(self, now: float) -> dict[str, str]:
        """What is wrong so that a restart may help; empty when nothing is."""
        wrong = {}
        if now - self.turned > HUNG_SECONDS:
            wrong["loop"] = f"has not turned for {now - self.turned:.0f} s"
        for partition, moved in self.moved.items():
            if now - moved > STUCK_SECONDS:
                wrong[f"partition {partition}"] = f"has lag and stands still for {now - moved:.0f} s"
        return wrong

    def ready(self, now: float) -> dict[str, str]:
        """What stands between a beat and its alarm; empty when nothing does."""
        wrong = self.live(now)
        if not self.started:
            wrong["start"] = "not finished: model, broker and topics come first"
        elif self.broker_failure:
            wrong["broker"] = self.broker_failure
        elif not self.joined:
            wrong["group"] = "this member has not joined yet"
        return wrong


@contextmanager
def serve(host: str, port: int, registry: CollectorRegistry, health: Health) -> Iterator[int]:
    """Answer `/metrics`, `/healthz` and `/readyz` until the block ends; gives the port.

    Raises RefusedError when the address cannot be had.
    """

    class Handler(_Handler):
        pass

    Handler.registry, Handler.health = registry, health
    try:
        server = _Server((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise RefusedError(
            f"{host}:{port} cannot be listened on ({error}): set MONITOR_HTTP_HOST or MONITOR_HTTP_PORT"
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
    """A thread a client, never many: a newcomer is answered, and where there are too many the oldest is hung up on.

    Refusing newcomers instead would let a few slow clients turn the probes away.
    """

    daemon_threads = True
    block_on_close = False  # a slow client must not hold up the exit
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self._since: dict[Any, float] = {}  # client's socket -> when it came, oldest first
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._since[request] = time.monotonic()
        self._hang_up(list(self._since)[:-MAX_CLIENTS])
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Called twice a second: a client that dribbles bytes outlives every timeout of a single read."""
        latest = time.monotonic() - CLIENT_SECONDS
        self._hang_up([client for client, since in list(self._since.items()) if since < latest])

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        self._hang_up(list(self._since))

    def _hang_up(self, clients: list[Any]) -> None:
        """Its thread wakes up with an error, and closes the socket."""
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """A client that hung up is its own business: no traceback in the log."""


class _Handler(BaseHTTPRequestHandler):
    registry: CollectorRegistry
    health: Health
    timeout = 5  # seconds for one read or write
    server_version = "ecg-monitor"
    sys_version = ""

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        is_reading = self.command in ("GET", "HEAD")
        if not is_reading:
            self._answer(405, "text/plain", b"there is only reading here: GET or HEAD\n")
        return is_reading

    def do_GET(self) -> None:
        now, page = time.monotonic(), self.path.partition("?")[0]
        if page == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.registry))
        elif page == "/healthz":
            self._verdict(self.health.live(now))
        elif page == "/readyz":
            self._verdict(self.health.ready(now))
        else:
            self._answer(404, "text/plain", b"there are /metrics, /healthz and /readyz\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _verdict(self, wrong: dict[str, str]) -> None:
        body = orjson.dumps({"ok": not wrong, "wrong": wrong}, option=orjson.OPT_APPEND_NEWLINE)
        self._answer(503 if wrong else 200, "application/json", body)

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
        """Probes come every few seconds: none is worth a line."""
