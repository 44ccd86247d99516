"""The environment of a benchmark: Apache Kafka, a model, beats of ECG5000, and a number of cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from bench.case import Case, fresh_prefix
from tests.brokers import broker_at_hand


@dataclass(frozen=True, slots=True)
class BenchInputs:
    """Paths and options of a benchmark."""

    model: Path
    stock: Path  # ECG5000_TEST.tsv
    out: Path
    cores: int

    def case(self, address: str, beats: int, seconds: float, **options: object) -> Case:
        """A case with new topics, because the broker can be shared."""
        return Case(address, fresh_prefix(), "fill", str(self.model.resolve()), beats, seconds, **options)


@contextmanager
def kafka() -> Iterator[str]:
    """The address of Apache Kafka: KAFKA_BOOTSTRAP_SERVERS if it is set, else of a broker started from KAFKA_HOME."""
    if address := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, broker_at_hand(Path(folder)) as broker:
        if not broker.is_kafka:
            raise click.UsageError("needs Apache Kafka: set KAFKA_HOME (and have Java) or KAFKA_BOOTSTRAP_SERVERS")
        yield broker.address
