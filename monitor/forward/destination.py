"""The interface of a kind of receiver: `alertmanager.Alertmanager` and `webhook.Webhook` implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitor.forward.event import AlertEvent
    from monitor.forward.request import Request


class Destination(Protocol):
    """Turns events into requests. Times are of the clock that it was given. It does no I/O."""

    def request(self, event: AlertEvent) -> Request | None:
        """The request that tells the receiver of an event; None where it is too old to be told.

        All earlier events of its source are dealt with.
        """

    def dealt_with(self, event: AlertEvent) -> None:
        """The receiver took the event, or refused it for good."""

    def remember(self, event: AlertEvent) -> None:
        """The event was dealt with before this process began."""

    def repeat(self, without: Collection[int]) -> Request | None:
        """What the receiver must be told again now; not of the partitions `without`. None: nothing."""

    def repeated(self) -> None:
        """The receiver took, or refused, what `repeat` gave last."""

    def not_repeated(self) -> None:
        """The receiver failed with what `repeat` gave last."""

    def probe(self) -> Request | None:
        """A request that changes nothing at the receiver; None where there is none."""

    def revoke(self, partition: int) -> None:
        """Forget what was read of a partition."""

    def read_from(self, partition: int, offset: int) -> int:
        """The first record that a new process must read, so that it can go on at `offset`."""

    def open_alarms(self) -> int:
        """How many alarms it repeats."""
