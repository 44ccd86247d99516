"""The consumer group of a cluster in memory: who holds which partition, and where the group reads on.

It knows no topics and no records. A member is any object that can be a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.broker.place import CommittedPlace


class MemoryGroup:
    """The consumer group: its members, the partitions that each one holds, and the committed offsets."""

    def __init__(self, partitions: int) -> None:
        self.committed: dict[int, CommittedPlace] = {}
        self.partitions = partitions
        self.began_with: int | None = None  # partitions when the first member joined
        self._held: dict[object, set[int]] = {}  # the partitions of each member

    def has(self, member: object) -> bool:
        return member in self._held

    def join(self, member: object) -> None:
        if self.began_with is None:
            self.began_with = self.partitions
        self._held.setdefault(member, set())

    def leave(self, member: object) -> None:
        self._held.pop(member, None)

    def held(self, member: object) -> set[int]:
        return self._held.get(member, set())

    def rebalance(self, member: object) -> None:
        """Bring a member that has joined nearer to its fair share: it gives partitions up, or takes free ones.

        A partition changes hands in two steps, as in Kafka's cooperative protocol: its holder gives it up at a poll
        of its own, and only then another member can take it. If the partitions cannot be shared equally, the members
        that hold most of them get one more.
        """
        each, more = divmod(self.partitions, len(self._held))
        ranked = sorted(self._held, key=lambda one: -len(self._held[one]))
        share, held = each + (ranked.index(member) < more), sorted(self._held[member])
        free = sorted(set(range(self.partitions)).difference(*self._held.values()))
        self._held[member] = {*held[:share], *free[: max(0, share - len(held))]}
