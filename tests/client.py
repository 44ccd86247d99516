"""The Kafka client as its authors ship it, in a process in which other tests have patched it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka.protocol.frame import KafkaBytes
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch

from monitor.broker.kafka_python import known_versions, sockets

if TYPE_CHECKING:
    import pytest


def ship_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what was patched for the whole process; from now on, to enter a patch is an error."""
    monkeypatch.setattr(KafkaBytes, "read", sockets.CLIENT_READ)
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", DefaultRecordBatch)
    monkeypatch.setattr(known_versions, "require_known", _refuse)


def _refuse() -> None:
    raise AssertionError("a patch was applied to a client that is used as it is shipped")
