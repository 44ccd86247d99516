# ruff: noqa: PLC0415 - these imports must wait
"""The entrances to patches whose modules import internal modules of kafka-python.

Another version of the client may have renamed those. So a patch's module is imported when the patch is first applied,
that is, after `known_versions.is_known` has compared the client's files: with an unknown client it never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.broker.kafka_python import known_versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka import KafkaConsumer

    from monitor.broker.connection.diagnosis import Diagnosis
    from monitor.broker.kafka_python.bootstrap import Client
    from monitor.broker.kafka_python.step_bytes import StepBytes


def make_client(diagnosis: Diagnosis, **configs: Any) -> Client:
    """What the client's own classes accept as their option `kafka_client`."""
    from monitor.broker.kafka_python.bootstrap import Client

    return Client(diagnosis, **configs)


def read_any_batch() -> None:
    """Let every consumer of this process read any batch, see `batches`."""
    from monitor.broker.kafka_python import batches

    batches.read_any_batch()


def limit_bytes(consumer: KafkaConsumer, limit: int, counted: Callable[[list[int]], int] = sum) -> StepBytes | None:
    """The bound on the bytes of each poll of a consumer, see `StepBytes`; None with a client that is not known."""
    if not known_versions.is_known():
        return None
    from monitor.broker.kafka_python.step_bytes import StepBytes

    return StepBytes(consumer, limit, counted)
