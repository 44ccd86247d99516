"""Who takes part. Each module has a `judge(case, meter)` that works until the meter says that it is over."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Contender:
    """`apart`: what it depends on cannot be installed beside this monitor's pinned versions."""

    title: str
    module: str
    options: dict[str, str | float] = field(default_factory=dict)
    apart: bool = False
    latency: bool = False  # takes part in the bench of latency


CONTENDERS = {
    "monitor": Contender("this monitor, exactly once", "line", {"delivery": "exactly-once"}, latency=True),
    "monitor-alo": Contender("this monitor, at least once", "line", {"delivery": "at-least-once"}, latency=True),
    "confluent": Contender("confluent-kafka + torch, batches", "confluent", {"wait_seconds": 0.1}, latency=True),
    "confluent-quick": Contender("confluent-kafka, 10 ms", "confluent", {"wait_seconds": 0.01}, latency=True),
    "bytewax": Contender("bytewax, flat_map_batch", "bytewax_flow"),
    "kafka-python": Contender("kafka-python, batches", "kafka_batches", latency=True),
    "quix-sink": Contender("quixstreams, BatchingSink", "quix", {"style": "sink"}, apart=True),
    "quix-apply": Contender("quixstreams, apply", "quix", {"style": "apply"}, apart=True, latency=True),
    "faust": Contender("faust-streaming, take_events", "faust_agent", apart=True),
    "record": Contender("kafka-python, record at a time", "record", latency=True),
    "scoring": Contender("scoring alone", "scoring"),
}
ONLY_LATENCY = ("confluent-quick",)  # as fast as its twin
