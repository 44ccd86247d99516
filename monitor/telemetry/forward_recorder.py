"""Metrics and health of a forwarder: the one part that updates them, from the facts that its loop returns."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from monitor.telemetry.health import HUNG_SECONDS
from monitor.telemetry.partition_metrics import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

IGNORED = ("empty", "too-large", "not-json", "not-an-alert")  # why a record is no alert


class ForwardCounts(Protocol):
    """What was sent since the start."""

    taken: int
    repeated: int
    retries: int
    refused: int


class ForwardMetrics:
    """The metrics of one forwarder, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        counter = partial(Counter, namespace=NAMESPACE, subsystem="forward", registry=registry)
        gauge = partial(Gauge, namespace=NAMESPACE, subsystem="forward", registry=registry)
        self.info = Info(
            "forward",
            "Version of the forwarder, and the kind of its receiver. Two versions for longer than a roll-out takes: "
            "finish it.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.ready = gauge(
            "ready", "1 while /readyz answers 200. 0: an alarm would not reach its receiver now; /readyz says why."
        )
        self.waiting = gauge(
            "waiting_seconds",
            "Age of the oldest event that the receiver has not dealt with; 0 without any. This is how late alarms "
            "reach it. High: see /readyz and the log.",
        )
        self.lag = gauge(
            "lag_records",
            "Alerts from the last committed one to the end of the partition. Growing: the receiver is slow or away.",
            ["partition"],
        )
        self.open = gauge(
            "open_alarms", "Alarms that are on and are sent to Alertmanager again and again; 0 with a webhook."
        )
        self.events = counter("events", "Events that the receiver took.")
        self.repeats = counter("repeats", "Requests that told Alertmanager again what is on, and that it took.")
        self.retries = counter("retries", "Requests that failed and are tried again. Rising: the log says why.")
        self.dead_letters = counter(
            "dead_letters", "Events that the receiver refused. Each is in MONITOR_FORWARD_DEAD_LETTERS: look at it."
        )
        self.ignored = counter(
            "ignored", "Records of the alerts topic that are no alerts, by reason. Who may write there?", ["reason"]
        )
        for reason in IGNORED:
            self.ignored.labels(reason)


class ForwardHealth:
    """Facts that the recorder writes and the HTTP threads read. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.joined = False
        self.kafka_failure = "the broker was not asked yet"
        self.trouble = "it was not asked yet"
        self.last_step = time.monotonic()

    def live(self, now: float) -> dict[str, str]:
        """Problems that a restart may fix."""
        if now - self.last_step > HUNG_SECONDS:
            return {"loop": f"has not taken a step for {now - self.last_step:.0f} s"}
        return {}

    def ready(self, now: float) -> dict[str, str]:
        """Problems that keep an alarm from its receiver."""
        problems = self.live(now)
        if self.kafka_failure:
            problems["broker"] = self.kafka_failure
        elif not self.joined:
            problems["group"] = "this member has not joined yet"
        if self.trouble:
            problems["receiver"] = self.trouble
        return problems


class ForwardRecorder:
    """Its methods are called by the loop's thread."""

    def __init__(self, metrics: ForwardMetrics, health: ForwardHealth) -> None:
        self._metrics, self._health = metrics, health
        metrics.ready.set_function(lambda: float(not health.ready(time.monotonic())))
        self._counted: dict[str, int] = {}
        self._partitions: set[int] = set()

    def started(self, version: str, kind: str) -> None:
        self._metrics.info.info({"version": version, "to": kind})

    def kafka_answered(self) -> None:
        self._health.kafka_failure = ""

    def kafka_failed(self, why: str) -> None:
        self._health.kafka_failure = why

    def receiver_seen(self, trouble: str, *, is_joined: bool) -> None:
        """`trouble`: why the receiver takes nothing; empty while it does."""
        self._health.trouble, self._health.joined = trouble, is_joined

    def step_ended(
        self,
        counts: ForwardCounts,
        ignored: Mapping[str, int],
        lag: Mapping[int, int],
        *,
        waiting_seconds: float,
        open_alarms: int,
    ) -> None:
        """`counts` and `ignored` are since the start."""
        metrics = self._metrics
        self._count(metrics.events, "taken", counts.taken)
        self._count(metrics.repeats, "repeated", counts.repeated)
        self._count(metrics.retries, "retries", counts.retries)
        self._count(metrics.dead_letters, "refused", counts.refused)
        for reason, number in ignored.items():
            self._count(metrics.ignored.labels(reason), f"ignored {reason}", number)
        for partition in self._partitions - lag.keys():
            metrics.lag.remove(str(partition))
        for partition, records in lag.items():
            metrics.lag.labels(str(partition)).set(records)
        self._partitions = set(lag)
        metrics.waiting.set(waiting_seconds)
        metrics.open.set(open_alarms)
        self._health.last_step = time.monotonic()

    def _count(self, series: Counter, name: str, number: int) -> None:
        series.inc(number - self._counted.get(name, 0))
        self._counted[name] = number
