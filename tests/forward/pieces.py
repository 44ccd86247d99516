"""Alerts, a topic of them in memory, and receivers on loopback, for tests of the forwarder."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import CollectorRegistry

from monitor.broker import MemoryBroker, MemoryCluster
from monitor.broker.blocks import join
from monitor.forward.alertmanager import Alertmanager
from monitor.forward.event import AlertEvent, read_event
from monitor.forward.forwarder import Forwarder
from monitor.forward.outbox import Outbox
from monitor.forward.request import TAKEN, Answer, AnswerKind, Request
from monitor.forward.webhook import Webhook
from monitor.records.record import Message
from monitor.settings import Settings
from monitor.telemetry.forward_recorder import ForwardHealth, ForwardMetrics, ForwardRecorder
from tests.clocks import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.records.record import Checkpoint, Records

TOPIC = "ecg.alerts"
NOW_MS = 1_796_039_600_000  # 2026-11-30T11:53:20Z
AWAY = Answer(AnswerKind.UNAVAILABLE, "http://receiver:80 answers 429")
DOUBTFUL = Answer(AnswerKind.DOUBTFUL, "http://receiver:80 answers 502")
REFUSED = Answer(AnswerKind.REFUSED, "http://receiver:80 answers 422")
FAILED = Answer(AnswerKind.FAILED, "http://receiver:80 answers 500")


def alert(name: str = "opened", number: int = 0, **fields: Any) -> bytes:
    """An alert about alarm `number`, whose source is `bed-<number>`, as a monitor writes it."""
    own = {
        "schema": 1,
        "id": f"physiological:ecg.beats:0:{number}",
        "event": name,
        "source": f"bed-{number}",
        "kind": "physiological",
        "priority": "medium",
        "reopened": False,
        "cause": "unusual-shape",
        "beat_time": "2026-11-30T10:00:00.000Z",
        "opened_at": "2026-11-30T10:00:00.000Z",
        "closed_at": "2026-11-30T10:05:00.000Z" if name == "closed" else None,
        "topic": "ecg.beats",
        "partition": 0,
        "offset": 100 + number,
        "samples": [0.5, 0.25],
        "reconstruction": [0.5, 0.5],
        "typical": None,
    }
    return orjson.dumps(own | fields)


def event(name: str = "opened", number: int = 0, offset: int = 0, **fields: Any) -> AlertEvent:
    return read_event(alert(name, number, **fields), 0, offset, NOW_MS)


class MemorySubscription:
    """`Subscription` on the broker in memory. A member that is held does not poll it at all."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.broker = MemoryBroker(cluster, profiles=True)  # so that records come again from `read_from` on
        self.joined, self.lag, self.close = self.broker.joined, self.broker.lag, self.broker.close

    def poll(self, *, is_held: bool = False) -> Records:
        return join(TOPIC, [], {}, frozenset()) if is_held else self.broker.poll()

    def deliver(self, checkpoint: Checkpoint) -> None:
        self.broker.deliver(checkpoint)


class ScriptedPost:
    """Keeps the requests. `answer` decides what comes of each; by default it takes them."""

    def __init__(self, answer: Callable[[Request], Answer] = lambda _: TAKEN) -> None:
        self.answer, self.taken, self.tried, self.probed = answer, list[Any](), 0, 0

    def post(self, request: Request) -> Answer:
        self.tried += 1
        answer = self.answer(request)
        if answer.kind is AnswerKind.TAKEN:
            self.taken.append(orjson.loads(request.body))
        return answer

    def probe(self, request: Request | None) -> Answer:
        self.probed += 1
        return self.answer(request or Request(b"[]"))


@dataclass
class Shelf:
    """Dead letters in a list, or a fault."""

    letters: list[tuple[AlertEvent, str]] = field(default_factory=list)
    fault: OSError | None = None

    def add(self, event: AlertEvent, request: Request, why: str, now_ms: float) -> None:  # noqa: ARG002 - as it is
        if self.fault is not None:
            raise self.fault
        self.letters.append((event, why))


class Bench:
    """A forwarder on topics in memory, with a clock that only the test moves."""

    def __init__(self, kind: str = "alertmanager", partitions: int = 1, batch_size: int = 256, **given: Any) -> None:
        settings = Settings(offset_reset="earliest", **given)
        self.settings = settings.model_copy(update={"beats_topic": TOPIC, "batch_size": batch_size})
        self.cluster = MemoryCluster(self.settings, partitions)
        self.clock, self.post, self.shelf, self.kind = ManualClock(wall=NOW_MS / 1000), ScriptedPost(), Shelf(), kind
        self.start()

    def kill(self) -> None:
        """End the process without a word, and start another one."""
        self.cluster.evict(self.subscription.broker)
        self.start()

    def start(self) -> None:
        self.subscription = MemorySubscription(self.cluster)
        clock = self.clock.clock
        self.destination = Alertmanager(self.settings, clock) if self.kind == "alertmanager" else Webhook(self.settings)
        self.outbox = Outbox(self.destination, self.post, self.shelf, clock)
        self.metrics, self.health = ForwardMetrics(CollectorRegistry()), ForwardHealth()
        recorder = ForwardRecorder(self.metrics, self.health)
        self.forwarder = Forwarder(self.subscription, self.destination, self.outbox, recorder, clock, self.settings)

    def put(self, *values: bytes | None, partition: int | None = None, time_ms: int = NOW_MS) -> None:
        for value in values:
            self.cluster.publish(Message(TOPIC, None, value, partition=partition), time_ms)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"ecg_monitor_forward_{name}", labels)

    def steps(self, count: int = 3, seconds: float = 0.0) -> None:
        for _ in range(count):
            self.forwarder.step()
            self.clock.advance(seconds)


class Received:
    """What a receiver on loopback got, and how it answers: the next of `answers`, then 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.came = threading.Condition()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        with self.came:
            self.requests.append((path, headers, body))
            self.came.notify_all()
            return self.answers.pop(0) if self.answers else (200, {})


@contextmanager
def receiver(received: Received, port: int = 0, context: Any = None) -> Iterator[int]:
    """A server that hands each POST to `received`; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = received.take(self.path, dict(self.headers.items()), body)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", port), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
