"""What is on now: the open episodes, as the rows of the state topic have them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from monitor.alarms.alert import acknowledged_fields, cause_of, episode_id
from monitor.alarms.episode_state import MAX_ROW_BYTES, decode, decode_row
from monitor.alarms.recent.technical import TECHNICAL_CAUSES
from monitor.alarms.rule import FREQUENT_ECTOPY, KINDS, MEDIUM
from monitor.alarms.run_rule import PRIORITIES
from monitor.beats.beat import MAX_KEY_BYTES
from monitor.records.record import other_group, record_time
from monitor.records.stream_time import is_time
from monitor.terminal import count_of, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.alarms.lifecycle import Acknowledgement, AlarmLife, Presence
    from monitor.alarms.rule import EpisodeState, Kind
    from monitor.records.record import Headers

Place = tuple[int, bytes]  # of a row: partition and source
SCHEMA = 1  # of `CurrentAlarm.fields`
OTHER_GROUP_BYTES = 100  # of the name of another group: it is shown
_TRACKS = re.compile(rb'\{"schema":1,"offset":-?[0-9]{1,18},"clock":-?[0-9]{1,18},"tracks":(\{.*\})\}')


class CurrentAlarm(NamedTuple):
    """An open episode, as a monitor stored it last."""

    source: str
    kind: Kind
    partition: int
    episode: EpisodeState  # as the alarm shows it
    offset: int  # of the source's last beat that it includes
    stream_time: int  # of the partition at that beat, ms
    written_ms: int  # since the epoch
    life: AlarmLife | None = None  # where it was acknowledged, has latched or is held back

    @property
    def presence(self) -> Presence:
        return "on" if self.life is None else self.life.presence

    @property
    def is_held(self) -> bool:
        """Whether a pause holds back what was last to say about it."""
        return self.life is not None and self.life.held != ""

    @property
    def acknowledged(self) -> Acknowledgement | None:
        """Who has seen it; None: nobody, or it was taken back."""
        return None if self.life is None else self.life.acknowledged

    @property
    def priority(self) -> str:
        return PRIORITIES[self.episode.priority]

    @property
    def cause(self) -> str:
        return cause_of(self.kind, self.episode, TECHNICAL_CAUSES)

    @property
    def decided_by(self) -> str | None:
        """`personal`, where only the personal score gives such a priority or cause. None: a row does not say it."""
        episode = self.episode
        is_personal = episode.priority != MEDIUM or episode.cause == FREQUENT_ECTOPY
        return "personal" if self.kind == "physiological" and is_personal else None

    @property
    def urgency(self) -> tuple[int, int]:
        """By this alarms are sorted: the most urgent first, then the one that opened last."""
        return -self.episode.priority, -self.episode.opened_at

    def seconds(self, now_ms: int) -> float | None:
        """How long it has been open; None where the time of the beat that opened it is not known."""
        opened = self.episode.opened_at
        return max(0, now_ms - opened) / 1000 if is_time(opened) else None

    def fields(self, topic: str, now_ms: int, *, is_off: bool = False) -> dict[str, Any]:
        """For programs, in the words of an alert. `topic`: that of the beats. `is_off`: whether it is over by now."""
        episode = self.episode
        return {
            "schema": SCHEMA,
            "id": episode_id(self.kind, topic, self.partition, episode),
            "presence": "off" if is_off else self.presence,
            "paused": self.is_held,
            "source": self.source,
            "kind": self.kind,
            "priority": self.priority,
            "cause": self.cause,
            "decided_by": self.decided_by,
            "opened_at": record_time(episode.opened_at),
            "seconds": self.seconds(now_ms),
            "beats": {"abnormal": episode.flagged_beats, "seen": episode.seen_beats},
            "unflagged": episode.unflagged,
            "acknowledged": acknowledged_fields(self.acknowledged),
            "topic": topic,
            "partition": self.partition,
            "offset": self.offset,
            "stream_time": record_time(self.stream_time),
            "written_at": record_time(self.written_ms),
        }


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms are shown. Without a value all of them are."""

    source: str | None = None
    kind: str | None = None
    priorities: tuple[str, ...] = ()

    def takes(self, alarm: CurrentAlarm) -> bool:
        return (
            self.source in (None, alarm.source)
            and self.kind in (None, alarm.kind)
            and (not self.priorities or alarm.priority in self.priorities)
        )


class AlarmChange(NamedTuple):
    """What became of an alarm. `updated`: its priority, cause, presence or acknowledgement is another one."""

    name: Literal["on", "updated", "off"]
    alarm: CurrentAlarm  # of an alarm that is off: as it was last


class CurrentAlarms:
    """The alarms that are on, kept up to date from the rows of one group.

    Of each source only the last row counts, and only that is read: `take` is cheap, `settle` reads what came.
    """

    def __init__(self, group: str) -> None:
        self._group = group.encode()
        self._unread: dict[Place, tuple[bytes | None, int]] = {}
        self._alarms: dict[Place, tuple[CurrentAlarm, ...]] = {}
        self._useless: dict[Place, str] = {}
        self._foreign, self._other = 0, b""
        self.written_ms = -1  # when the last row of this group was written; -1: there is none

    def __iter__(self) -> Iterator[CurrentAlarm]:
        for of_source in self._alarms.values():
            yield from of_source

    def take(self, place: Place, value: bytes | None, headers: Headers, written_ms: int) -> None:
        """One record of the topic. Key and value are cut to what is refused, so that others cannot fill the memory."""
        if stranger := other_group(headers, self._group):
            self._foreign, self._other = self._foreign + 1, stranger[:OTHER_GROUP_BYTES]
            return
        self.written_ms = max(self.written_ms, written_ms)
        partition, source = place
        cut = None if value is None else value[: MAX_ROW_BYTES + 1]
        self._unread[partition, source[: MAX_KEY_BYTES + 1]] = cut, written_ms

    def begin_again(self) -> None:
        """All rows come again: what does not come is gone."""
        known = self._alarms.keys() | self._useless.keys()
        self._unread = dict.fromkeys(known, (None, -1))
        self._foreign, self.written_ms = 0, -1

    def settle(self) -> list[AlarmChange]:
        """What has changed by the records that came since the last call."""
        changes: list[AlarmChange] = []
        for place, (value, written_ms) in self._unread.items():
            before, after = self._alarms.pop(place, ()), self._read(place, value, written_ms)
            if after:
                self._alarms[place] = after
            if before or after:
                changes += _changes(before, after)
        self._unread = {}
        return changes

    def _read(self, place: Place, value: bytes | None, written_ms: int) -> tuple[CurrentAlarm, ...]:
        """The alarms in a row."""
        self._useless.pop(place, None)
        if value is None or _is_without_alarm(value):
            return ()
        partition, source = place
        try:
            state, lives = decode_row(source, value)
        except ValueError as error:
            self._useless[place] = str(error)
            return ()
        row = state.offset, state.stream_time, written_ms
        return tuple(
            CurrentAlarm(source.decode(), kind, partition, life.now(episode) if life else episode, *row, life)
            for kind, episode in zip(KINDS, state.episodes, strict=True)
            if ((life := lives.get(kind)) is not None and life.state == "latched") or episode.is_open
        )

    def left_out(self) -> str:
        """What was not read, and why, as the rest of a sentence; empty where all was read."""
        found = []
        if self._useless:
            why = next(iter(self._useless.values()))
            found.append(f"{count_of(len(self._useless), 'row')} that this version cannot read ({printable(why)})")
        if self._foreign:
            group = printable(self._other.decode(errors="replace"))
            found.append(f"{count_of(self._foreign, 'record')} of group {group}")
        return " and ".join(found)


def _is_without_alarm(value: bytes) -> bool:
    """Whether a row surely has no open episode. Such rows are most of them: to read them took eight times as long."""
    if b'"opened_offset":-1,' not in value or b'"alarms":' in value:
        return False
    found = _TRACKS.fullmatch(value)
    return found is not None and _are_closed(found[1])


@lru_cache(maxsize=10_000)
def _are_closed(tracks: bytes) -> bool:
    """Whether these episode states are valid, and none is open. The same few come again and again."""
    try:
        state = decode(b'{"schema":1,"offset":0,"clock":0,"tracks":%b}' % tracks)
    except ValueError:
        return False
    return not any(episode.is_open for episode in state.episodes)


def _changes(before: tuple[CurrentAlarm, ...], after: tuple[CurrentAlarm, ...]) -> Iterator[AlarmChange]:
    """What differs between two rows of one source."""
    old, new = ({(one.kind, one.episode.opened_offset): one for one in row} for row in (before, after))
    yield from (AlarmChange("off", alarm) for key, alarm in old.items() if key not in new)
    for key, alarm in new.items():
        if key not in old:
            yield AlarmChange("on", alarm)
        elif _shown(alarm) != _shown(old[key]):
            yield AlarmChange("updated", alarm)


def _shown(alarm: CurrentAlarm) -> tuple[object, ...]:
    return alarm.priority, alarm.cause, alarm.presence, alarm.is_held, alarm.acknowledged
