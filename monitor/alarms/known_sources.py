"""The sources that are known: those with a profile or an episode state, as their rows have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from monitor.alarms.alert import episode_id
from monitor.alarms.current import CurrentAlarms
from monitor.beats.beat import name_fault
from monitor.profiles import MAX_PROFILE_BYTES
from monitor.profiles.columns import KNOWN, SICK
from monitor.profiles.stored import stored_sources
from monitor.records.record import other_group, record_time
from monitor.records.stream_time import is_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.alarms.current import CurrentAlarm, Place
    from monitor.records.record import Headers

SCHEMA = 1  # of `KnownSource.fields`
Learned = Literal["learning", "learned", "sick"]


class KnownSource(NamedTuple):
    """What is known of a source in one partition."""

    partition: int
    source: str
    profile: Learned | None  # None: it has no stored profile
    last_ms: int  # time of the last beat that a row includes, ms; -1: not known
    written_ms: int  # when a row of it was written last
    alarms: tuple[CurrentAlarm, ...]  # that are on

    def fields(self, topic: str) -> dict[str, Any]:
        """For programs. `topic`: that of the beats."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "topic": topic,
            "partition": self.partition,
            "profile": self.profile,
            "last_beat": record_time(self.last_ms),
            "written_at": record_time(self.written_ms),
            "alarms": [
                {
                    "id": episode_id(one.kind, topic, one.partition, one.episode),
                    "presence": one.presence,
                    "kind": one.kind,
                    "priority": one.priority,
                    "cause": one.cause,
                }
                for one in self.alarms
            ],
        }


class KnownSources:
    """The sources in the rows of one group."""

    def __init__(self, group: str) -> None:
        self._group = group.encode()
        self.alarms = CurrentAlarms(group)
        self._states: dict[Place, int] = {}  # when the row was written
        self._profiles: dict[Place, tuple[bytes, int]] = {}

    def take_state(self, place: Place, value: bytes | None, headers: Headers, written_ms: int) -> None:
        """One record of the state topic."""
        self.alarms.take(place, value, headers, written_ms)
        if other_group(headers, self._group) or name_fault(place[1]):
            return
        if value is None:
            self._states.pop(place, None)
        else:
            self._states[place] = written_ms

    def take_profile(self, place: Place, value: bytes | None, headers: Headers, written_ms: int) -> None:
        """One record of the profiles topic. Its value is cut to what is refused."""
        if other_group(headers, self._group) or name_fault(place[1]):
            return
        if value is None:
            self._profiles.pop(place, None)
        else:
            self._profiles[place] = value[: MAX_PROFILE_BYTES + 1], written_ms

    def __iter__(self) -> Iterator[KnownSource]:
        """The sources by name, after all records were taken. A profile that cannot be read counts as none."""
        self.alarms.settle()
        alarms: dict[Place, list[CurrentAlarm]] = {}
        for one in self.alarms:
            alarms.setdefault((one.partition, one.source.encode()), []).append(one)
        records = stored_sources([value for value, _ in self._profiles.values()])
        learned = dict(zip(self._profiles, records, strict=True))
        for place in sorted(self._states.keys() | self._profiles.keys(), key=lambda one: (one[1], one[0])):
            found, on = learned.get(place), alarms.get(place, ())
            last_ms = max([-1, *(one.stream_time for one in on), *(() if found is None else (found.last_ms,))])
            profile: Learned | None = None
            if found is not None:
                profile = "learning" if found.phase != KNOWN else "sick" if found.flags & SICK else "learned"
            written_ms = max(self._states.get(place, -1), self._profiles.get(place, (b"", -1))[1])
            time_ms = last_ms if is_time(last_ms) else -1
            yield KnownSource(place[0], place[1].decode(), profile, time_ms, written_ms, tuple(on))
