"""The Kafka client as its authors ship it, in a process in which other tests have patched it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka.protocol.frame import KafkaBytes
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch

from monitor.broker.kafka_python import bootstrap, fetching, header_names, producing, sockets

if TYPE_CHECKING:
    import pytest

ENTRANCES = (
    (bootstrap.Client, "__init__"),
    (fetching, "patch_consumer"),
    (fetching, "set_fetch_pace"),
    (fetching.PartitionBlocks, "__init__"),
    (header_names, "accept_any_header_name"),
    (producing, "append"),
    (sockets, "patch_transport"),
    (sockets, "receive"),
    (sockets, "read"),
)


def ship_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what was patched for the whole process; from now on, to enter a patch is an error."""
    monkeypatch.setattr(KafkaBytes, "read", sockets.CLIENT_READ)
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", DefaultRecordBatch)
    for owner, name in ENTRANCES:
        monkeypatch.setattr(owner, name, _refuse)


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("a patch was applied to a client that is used as it is shipped")
