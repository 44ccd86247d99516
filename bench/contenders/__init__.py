"""The systems that are compared. Each module has a `judge(case, meter)` that runs until the meter ends it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BenchContender:
    """A system to compare. `apart`: its dependencies conflict with the versions that this monitor pins."""

    title: str
    module: str
    options: dict[str, str | float] = field(default_factory=dict)
    apart: bool = False
    latency: bool = False  # is also in the latency benchmark


def _monitor(client: str, delivery: str) -> BenchContender:
    of_client = "" if client == "confluent" else f" on {client}"
    title = f"this monitor{of_client}, {delivery.replace('-', ' ')}"
    return BenchContender(title, "pipeline", {"delivery": delivery, "kafka_client": client}, latency=True)


CONTENDERS = {
    "monitor": _monitor("confluent", "exactly-once"),
    "monitor-alo": _monitor("confluent", "at-least-once"),
    "monitor-kp": _monitor("kafka-python", "exactly-once"),
    "monitor-kp-alo": _monitor("kafka-python", "at-least-once"),
    "confluent": BenchContender("confluent-kafka + torch, batches", "confluent", {"wait_seconds": 0.1}, latency=True),
    "confluent-quick": BenchContender("confluent-kafka, 10 ms", "confluent", {"wait_seconds": 0.01}, latency=True),
    "bytewax": BenchContender("bytewax, flat_map_batch", "bytewax_flow"),
    "kafka-python": BenchContender("kafka-python, batches", "kafka_batches", latency=True),
    "quix-sink": BenchContender("quixstreams, BatchingSink", "quix", {"style": "sink"}, apart=True),
    "quix-apply": BenchContender("quixstreams, apply", "quix", {"style": "apply"}, apart=True, latency=True),
    "faust": BenchContender("faust-streaming, take_events", "faust_agent", apart=True),
    "record": BenchContender("kafka-python, record at a time", "record", latency=True),
    "scoring": BenchContender("scoring alone", "scoring"),
}
ONLY_LATENCY = ("confluent-quick",)  # its throughput equals that of `confluent`
