"""Offsets as kafka-python commits them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka import OffsetAndMetadata

if TYPE_CHECKING:
    from monitor.broker.client import CommittedOffset


def to_commit(offset: CommittedOffset) -> OffsetAndMetadata:
    """The offset, its metadata ended by a zero byte.

    confluent-kafka 2.16.1 writes that byte, and reads on to one: without it, bytes of other memory come after the
    metadata, or a UnicodeDecodeError. A group may change its client.
    """
    return OffsetAndMetadata(offset.offset, offset.metadata + "\0", -1)
