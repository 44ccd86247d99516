# ruff: noqa: PLC0415 - these imports must wait
"""The entrances to patches whose modules import internal modules of kafka-python.

Another version of the client may have renamed those. So a patch's module is imported when the patch is first applied,
that is, after `known_versions.is_known` has compared the client's files: with an unknown client it never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.broker.connection.diagnosis import Diagnosis
    from monitor.broker.kafka_python.bootstrap import Client


def make_client(diagnosis: Diagnosis, **configs: Any) -> Client:
    """What the client's own classes accept as their option `kafka_client`."""
    from monitor.broker.kafka_python.bootstrap import Client

    return Client(diagnosis, **configs)


def accept_any_header_name() -> None:
    """Let every consumer of this process read records whose header names are not UTF-8."""
    from monitor.broker.kafka_python import header_names

    header_names.accept_any_header_name()
