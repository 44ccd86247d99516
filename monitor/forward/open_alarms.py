"""Which alarms are on, as far as the receiver knows; and where a forwarder that starts again must read on.

An alarm is on from its first event to its `closed`. What is on is not stored: the offset of the first event of the
oldest alarm that is on is committed with the offset, and the records from there on are read again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from monitor.alarms.rule import FREQUENT_ECTOPY, PHYSIOLOGICAL_CAUSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.forward.event import AlertEvent

log = logging.getLogger(__name__)

MILDEST = PHYSIOLOGICAL_CAUSES[FREQUENT_ECTOPY - 1]
MAX_OPEN = 100_000  # alarms that are remembered, some 1 KiB each


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is on. Receivers know it by kind and cause: those of its first event, or a graver cause since."""

    partition: int
    first_offset: int
    id: str
    source: str
    kind: str
    cause: str
    priority: str
    opened_ms: int | None
    heard_ms: int  # when its last event was written
    event: str  # the last one
    sent: float = 0.0  # seconds of the monotonic clock: when the receiver last got it

    @classmethod
    def of(cls, event: AlertEvent) -> OpenAlarm:
        """The alarm of an event that is taken for its first one."""
        return cls(
            event.partition,
            event.offset,
            event.id,
            event.source,
            event.kind,
            event.cause,
            event.priority,
            event.opened_ms,
            event.written_ms,
            event.name,
        )

    def after(self, event: AlertEvent) -> OpenAlarm:
        """A run that comes in frequent ectopy is graver, and stays the cause when only ectopy follows."""
        is_graver = self.cause == MILDEST and not event.is_end
        cause = event.cause if is_graver else self.cause
        return replace(self, cause=cause, priority=event.priority, heard_ms=event.written_ms, event=event.name)


class OpenAlarms:
    """The alarms that are on in the partitions that this member reads."""

    def __init__(self, forget_ms: float, max_open: int = MAX_OPEN) -> None:
        """`forget_ms`: the time after its last event until an alarm is not remembered any more."""
        self._forget_ms, self._max = forget_ms, max_open
        self._by_partition: dict[int, dict[str, OpenAlarm]] = {}  # each in the order of the first offsets
        self._place: dict[str, int] = {}  # alarm -> its partition

    def __len__(self) -> int:
        return len(self._place)

    def __iter__(self) -> Iterator[OpenAlarm]:
        for alarms in self._by_partition.values():
            yield from alarms.values()

    def get(self, event: AlertEvent) -> OpenAlarm:
        """The alarm of an event as it was before; as the event has it, where it was not known."""
        place = self._place.get(event.id)
        return OpenAlarm.of(event) if place is None else self._by_partition[place][event.id]

    def note(self, event: AlertEvent, sent: float) -> None:
        """The receiver got an event, at `sent`."""
        if event.is_end:
            self.drop(event.id)
        elif event.id in self._place:
            partition = self._place[event.id]
            self._by_partition[partition][event.id] = replace(self.get(event).after(event), sent=sent)
        elif len(self) >= self._max:
            log.warning("more than %d alarms are on: this one is sent once and not again", self._max)
        else:
            self._place[event.id] = event.partition
            alarms = self._by_partition.setdefault(event.partition, {})
            alarms[event.id] = replace(OpenAlarm.of(event), sent=sent)

    def told(self, alarms: list[OpenAlarm], sent: float) -> None:
        """The receiver got these again, as on."""
        for alarm in alarms:
            self._by_partition[alarm.partition][alarm.id] = replace(alarm, sent=sent)

    def drop(self, alarm_id: str) -> None:
        partition = self._place.pop(alarm_id, None)
        if partition is not None:
            del self._by_partition[partition][alarm_id]

    def revoke(self, partition: int) -> None:
        """Another member reads this partition now, or it is read again."""
        for alarm_id in self._by_partition.pop(partition, {}):
            del self._place[alarm_id]

    def is_old(self, heard_ms: float, now_ms: float) -> bool:
        return now_ms - heard_ms > self._forget_ms

    def forget(self, now_ms: float) -> None:
        """Drop the alarms of which nothing was heard for too long."""
        old = [alarm.id for alarm in self if self.is_old(alarm.heard_ms, now_ms)]
        for alarm_id in old:
            self.drop(alarm_id)
        if old:
            log.warning("nothing was heard of %d alarms for long: they are not repeated any more", len(old))

    def read_from(self, partition: int, offset: int) -> int:
        """Where to begin to read again so that all that is on is known: at most `offset`."""
        alarms = self._by_partition.get(partition)
        return min(offset, next(iter(alarms.values())).first_offset) if alarms else offset
