"""What the worker asks of a broker; the tests' fake keeps the same contract as Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.records.record import BrokerFacts, Checkpoint, Records


class Broker(Protocol):
    """One member of the consumer group, and one producer; every call raises BrokerError when Kafka is at fault."""

    def poll(self) -> Records:
        """Records that were not read before, none after about a second without any.

        A partition that begins, or goes back after a failure, is told in `assigned` before its first record comes.
        """

    def has_more(self) -> bool:
        """Whether the next poll brings records without waiting for any."""

    def begin(self, checkpoint: Checkpoint) -> None:
        """Begin to deliver in the background; `deliver` of the same, before any other, says what came of it."""

    def deliver(self, checkpoint: Checkpoint) -> None:
        """Have every message acknowledged and let the offsets follow, or have all of it become visible together.

        After a BrokerError the same delivery may be handed in again: what was acknowledged is not sent twice. After a
        RewoundError it is to be forgotten: `poll` resumes every partition from the last committed offset.
        """

    def settled(self) -> bool:
        """Whether offsets were committed since the last RewoundError: only that shows that it works again."""

    def lag(self) -> Mapping[int, int]:
        """Records behind the end, for each assigned partition, as of the last second or so."""

    def joined(self) -> bool:
        """Whether this member belongs to the group, with partitions or without."""

    def facts(self) -> BrokerFacts:
        """What happened since the last call; never raises."""

    def close(self) -> None:
        """Commit what was delivered, leave the group, let go of the connections."""
