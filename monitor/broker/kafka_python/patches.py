# ruff: noqa: PLC0415 - these imports must wait
"""The entrances to patches whose modules import internal modules of kafka-python.

Another version of the client may have renamed those. So a patch's module is imported when the patch is first applied,
that is, after `known_versions.is_patched` has compared the client's files: with an unknown client it never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka import KafkaConsumer

    from monitor.broker.kafka_python.bootstrap import Client, Explains


def make_client(diagnosis: Explains, **configs: Any) -> Client:
    """What the client's own classes accept as their option `kafka_client`."""
    from monitor.broker.kafka_python.bootstrap import Client

    return Client(diagnosis, **configs)


def accept_any_header_name() -> bool:
    """Patch every consumer of this process; whether that is new."""
    from monitor.broker.kafka_python import header_names

    return header_names.accept_any_header_name()


def patch_consumer(consumer: KafkaConsumer) -> None:
    """From now on `poll` returns RecordBlocks for this consumer; `max_poll_records` still counts records."""
    from monitor.broker.kafka_python import fetching

    fetching.patch_consumer(consumer)


def set_fetch_pace(consumer: KafkaConsumer, min_bytes: int, max_wait_ms: int) -> None:
    """Change what the next fetch of a patched consumer asks for."""
    from monitor.broker.kafka_python import fetching

    fetching.set_fetch_pace(consumer, min_bytes, max_wait_ms)


def has_more(consumer: KafkaConsumer) -> bool:
    """Whether a patched consumer has fetched records that no poll has returned yet."""
    from monitor.broker.kafka_python import fetching

    return fetching.has_more(consumer)
