"""How many alarms are on, and since when nobody has acknowledged the oldest: for metrics. No I/O.

What a pause holds back does not count: nobody was called.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from monitor.alarms.batch import NOTHING
from monitor.alarms.lifecycle import AlarmLife
from monitor.alarms.rule import KINDS
from monitor.alarms.run_rule import PRIORITIES
from monitor.records.stream_time import is_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.alarms.alarm_event import AlarmEvent
    from monitor.alarms.episode_state import Restored
    from monitor.alarms.rule import Kind
    from monitor.alarms.run_rule import Priority

COUNT_SECONDS = 1.0  # between two counts: there may be 100,000 alarms


class AlarmGroup(NamedTuple):
    """Alarms that are counted together."""

    kind: Kind
    priority: Priority
    is_acknowledged: bool


class AlarmCounts(NamedTuple):
    """The alarms that are on or latched."""

    on: Mapping[AlarmGroup, int]
    oldest_ms: Mapping[Priority, int]  # when the oldest opened that nobody has acknowledged, by the time of its beat


class AlarmsOn:
    """The alarms that are on or latched in the partitions that this member reads."""

    def __init__(self) -> None:
        self._partitions: dict[int, dict[tuple[bytes, Kind], tuple[AlarmGroup, int]]] = {}
        self._is_changed, self._counted = True, -COUNT_SECONDS

    def assign(self, partition: int, restored: Restored) -> None:
        """Replace what is known of a partition by what was stored."""
        found = self._partitions[partition] = {}
        self._is_changed = True
        states = restored.sources | restored.outdated
        for source in states.keys() | restored.lives.keys():
            episodes, lives = states[source].episodes if source in states else NOTHING, restored.lives.get(source, {})
            for kind, episode in zip(KINDS, episodes, strict=True):
                life = lives.get(kind) or AlarmLife.of(episode)
                shown = life.now(episode)
                if shown.is_open and not life.is_unheard:
                    group = AlarmGroup(kind, PRIORITIES[shown.priority], life.acknowledged is not None)
                    found[source, kind] = group, shown.opened_at

    def revoke(self, partition: int) -> None:
        self._is_changed |= self._partitions.pop(partition, None) is not None

    def note(self, events: Iterable[AlarmEvent]) -> None:
        """Follow what went out."""
        for event in events:
            place, alarms = (event.source, event.kind), self._partitions.setdefault(event.partition, {})
            self._is_changed = True
            if event.presence == "off":
                alarms.pop(place, None)
            else:
                group = AlarmGroup(event.kind, PRIORITIES[event.episode.priority], event.acknowledged is not None)
                alarms[place] = group, event.episode.opened_at

    def counts(self, now: float) -> AlarmCounts | None:
        """What is on at `now`, seconds; None where nothing has changed, or it was counted just now."""
        if not self._is_changed or now - self._counted < COUNT_SECONDS:
            return None
        self._is_changed, self._counted = False, now
        alarms = [alarm for of in self._partitions.values() for alarm in of.values()]
        oldest: dict[Priority, int] = {}
        for group, opened_at in alarms:
            if not group.is_acknowledged and is_time(opened_at):
                oldest[group.priority] = min(opened_at, oldest.get(group.priority, opened_at))
        return AlarmCounts(Counter(group for group, _ in alarms), oldest)
