"""The state of a source as a row of the state topic: JSON with a schema number.

The state topic is compacted and has as many partitions as the beats topic. It holds a row for each source that has a
state, in the partition of its beats, written in the same transaction as the alerts and offsets of a step. Kafka Streams
keeps its stores in the same way (changelog topics).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from monitor.alarms.lifecycle import Acknowledgement, AlarmLife, FurtherRuns, Held, LifeState
from monitor.alarms.rule import KINDS, MAX_WINDOW, QUIET, EpisodeState, SourceState
from monitor.alarms.run_rule import PRIORITIES
from monitor.beats.beat import MAX_KEY_BYTES, name_fault
from monitor.records.record import GROUP_HEADER, Message
from monitor.records.stream_time import MAX_TIME_MS
from monitor.validation import first_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from monitor.alarms.episodes import StateChange
    from monitor.alarms.lives import Lives
    from monitor.alarms.rule import Kind
    from monitor.records.record import Assigned

SCHEMA: Literal[1] = 1
MAX_ROW_BYTES = 4096  # a row takes some 500; others may write to the topic as well
MAX_NUMBER = 2**62  # of offsets, times and counts: sums of two still fit into 64 bits
MAX_TIME = 2**63  # of the beat that opened an episode: a record can have any
_Number = Annotated[int, Field(ge=-MAX_NUMBER, lt=MAX_NUMBER)]


@dataclass(frozen=True, slots=True)
class LifeRow:
    """What is remembered of an alarm that was acknowledged or has latched. The defaults are left out."""

    alarm: _Number  # offset of the beat that opened it
    state: LifeState
    priority: Annotated[int, Field(ge=0, lt=len(PRIORITIES))]
    episode: _Number | None = None  # offset of the beat that opened its last episode, where that is another one
    by: Annotated[str, Field(max_length=200)] = ""
    at: Annotated[int, Field(ge=0, le=MAX_TIME_MS)] = 0
    note: Annotated[str, Field(max_length=200)] = ""
    version: Annotated[int, Field(ge=-1, lt=MAX_NUMBER)] = -1  # offset of the control record; -1: there was none
    since: _Number = 0  # stream time at which the acknowledgement was applied, ms
    ended: EpisodeState | None = None  # the alarm as it was when it latched
    held: Held = ""  # what a pause holds back
    held_at: Annotated[int, Field(ge=0, le=MAX_TIME_MS)] = 0  # time of its beat, ms
    minute: _Number = 0  # stream time at which the minute of the last further run began, ms
    told: Annotated[int, Field(ge=0, le=MAX_NUMBER)] = 0  # events of further runs since then that went out
    left_out: Annotated[int, Field(ge=0, le=MAX_NUMBER)] = 0  # those that did not, since the last event that went out

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def of(cls, life: AlarmLife) -> LifeRow:
        episode = None if life.episode == life.alarm else life.episode
        given = life.last or Acknowledgement("", 0, "", -1)
        own, further = (life.since, life.ended, life.held, life.held_at), life.further or FurtherRuns(0, 0)
        return cls(life.alarm, life.state, life.priority, episode, *given, *own, *further)

    def life(self) -> AlarmLife:
        given = None if self.version < 0 else Acknowledgement(self.by, self.at, self.note, self.version)
        episode = self.alarm if self.episode is None else self.episode
        further = FurtherRuns(self.minute, self.told, self.left_out) if self.told else None
        own = self.since, self.ended, self.held, self.held_at, further
        return AlarmLife(self.alarm, self.state, self.priority, episode, given, *own)

    def fields(self) -> dict[str, Any]:
        """Those that have not their default, as they are written."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        ended = {} if self.ended is None else {"ended": self.ended._asdict()}
        return {one.name: values[one.name] for one in fields(self) if values[one.name] != one.default} | ended


@dataclass(frozen=True, slots=True)
class StateRow:
    """The value of a row."""

    schema: Literal[1]
    offset: _Number
    clock: _Number  # the stored name of the stream time
    tracks: dict[Literal["physiological", "technical"], EpisodeState]  # the stored name of the episode states
    # only where an alarm was acknowledged or has latched; a version that does not know it cannot read such a row
    alarms: dict[Literal["physiological", "technical"], LifeRow] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


_ROW = TypeAdapter(StateRow)
REQUIRED = EpisodeState._fields.index("closed_at")  # fields before this one; versions that had no others read them


def _template(kind: Kind, fields: Iterable[str]) -> bytes:
    """Numbers alone: this is faster than an encoder."""
    numbers = ",".join(f'"{field}":%d' for field in fields)
    return f'"{kind}":{{{numbers}}}'.encode()


_SHORT = {kind: _template(kind, EpisodeState._fields[:REQUIRED]) for kind in KINDS}
_WHOLE = {kind: _template(kind, EpisodeState._fields) for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Restored:
    """The states of one partition, as read from its rows."""

    sources: dict[bytes, SourceState]
    useless: dict[bytes, str]  # rows that could not be read: source -> what is wrong
    outdated: dict[bytes, SourceState]  # whose rows are to be deleted, see `restore`
    lives: dict[bytes, Lives] = field(default_factory=dict)  # where an alarm was acknowledged or has latched


def rows(
    changes: Sequence[StateChange],
    outdated: Mapping[int, Iterable[bytes]],
    topic: str,
    group: str,
    lives_of: Callable[[int, bytes], Lives | None] | None = None,
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Messages that write the states, and messages that delete the rows of states that are over.

    `outdated` are the sources of each partition whose rows are to be deleted; where a source has a new state, that
    replaces the row. `lives_of`: what is remembered of a source's alarms; None: nothing is of any. Each row
    names its group: another one that uses the same topic refuses to.
    """
    headers = ((GROUP_HEADER, group.encode()),)
    stale = [(partition, source) for partition, sources in outdated.items() for source in sources]
    known = {change[:2] for change in changes} if stale else set()
    gone = [place for place in stale if place not in known]
    gone += [(partition, source) for partition, source, state in changes if state is None]
    return (
        tuple(
            Message(
                topic, source, encode(state, lives_of and lives_of(partition, source)), headers, partition=partition
            )
            for partition, source, state in changes
            if state is not None
        ),
        tuple(Message(topic, source, None, headers, partition=partition) for partition, source in gone),
    )


def encode(state: SourceState, lives: Lives | None = None) -> bytes:
    """The value of a row of the state topic. A kind of episode with nothing to remember is left out."""
    (physiological, technical), stream_time, offset = state
    is_usual = technical is QUIET and physiological.opened_offset < 0
    tracks = _usual_track(physiological) if is_usual else _tracks(state.episodes)
    more = b"" if not lives else b',"alarms":' + orjson.dumps({one: LifeRow.of(lives[one]).fields() for one in lives})
    return b'{"schema":%d,"offset":%d,"clock":%d,"tracks":{%b}%b}' % (SCHEMA, offset, stream_time, tracks, more)


@lru_cache(maxsize=10_000)
def _usual_track(physiological: EpisodeState) -> bytes:
    """That of a source without a technical episode, and with none open: the same few come again and again."""
    return _tracks((physiological, QUIET))


def _tracks(episodes: tuple[EpisodeState, EpisodeState]) -> bytes:
    pairs = zip(KINDS, episodes, strict=True)
    return b",".join([_track(kind, episode) for kind, episode in pairs if episode != QUIET])


def _track(kind: Kind, episode: EpisodeState) -> bytes:
    """One kind of episode. Where the last fields have their default values, they are left out."""
    if episode[REQUIRED:] == QUIET[REQUIRED:]:
        return _SHORT[kind] % episode[:REQUIRED]
    return _WHOLE[kind] % episode


def decode(value: bytes) -> SourceState:
    """The state in a row's value. Raises ValueError with a sentence for what is not a row of this schema."""
    return decode_all(value)[0]


def decode_all(value: bytes) -> tuple[SourceState, Lives]:
    """The same, with what is remembered of alarms that were acknowledged or have latched."""
    try:
        row = _ROW.validate_json(value)
    except ValidationError as error:
        raise ValueError(first_error(error)) from None
    physiological, technical = (row.tracks.get(kind, QUIET) for kind in KINDS)
    if not (_is_possible(physiological) and _is_possible(technical)):
        raise ValueError("a number in it is none that a monitor writes")
    lives: Lives = {kind: one.life() for kind, one in row.alarms.items()}
    if not all(_is_possible_life(life, row.tracks.get(kind, QUIET)) for kind, life in lives.items()):
        raise ValueError("an alarm in it is none that a monitor writes")
    return SourceState((physiological, technical), row.clock, row.offset), lives


def _is_possible_life(life: AlarmLife, episode: EpisodeState) -> bool:
    """Whether the life of an alarm fits to the episode of its kind."""
    ended = life.ended
    is_known = ended is not None and _is_possible(ended) and ended.is_open and ended.opened_offset == life.alarm
    if life.state == "latched":
        return is_known and not episode.is_open and not life.held
    if life.state == "off" and life.held not in {"", "opened"}:
        return False
    if episode.opened_offset != life.episode or episode.is_open == (life.state == "off"):
        return False
    return is_known or (ended is None and life.episode == life.alarm)


def _is_possible(episode: EpisodeState) -> bool:
    """Whether all numbers are in the ranges that beats can give: others would end the monitor later."""
    recent, length, unflagged, opened_offset, opened_at, *counts, closed_at, priority = episode
    are_numbers = -MAX_NUMBER <= opened_offset < MAX_NUMBER and -MAX_TIME <= opened_at < MAX_TIME
    are_counts = all(0 <= number < MAX_NUMBER for number in (unflagged, *counts))
    is_window = 0 <= length <= MAX_WINDOW and 0 <= recent < 2**MAX_WINDOW
    is_closing = closed_at == QUIET.closed_at or (0 <= closed_at < MAX_NUMBER and opened_offset >= 0)
    return are_numbers and are_counts and is_window and is_closing and 0 <= priority < len(PRIORITIES)


def decode_row(source: bytes, value: bytes) -> tuple[SourceState, Lives]:
    """The state in a row of the topic, whose key is the source, as `decode_all`. Raises ValueError with a sentence."""
    if len(value) > MAX_ROW_BYTES:
        raise ValueError(f"a row has a value of at most {MAX_ROW_BYTES} bytes")
    if fault := name_fault(source):
        raise ValueError(fault)
    return decode_all(value)


def restore(assigned: Assigned) -> Restored:
    """The states in a partition's rows, when a member begins to read it.

    A row may include beats from beyond the committed offset. With transactions that happens only after the group's
    offsets were set back by hand, or the topic was made again: the row is outdated and will be deleted, because those
    beats are read again, or are gone. At least once, rows are written before offsets, so such a row is the normal case
    and its beats are known already; there, offsets that were set by hand are recognised by the missing stream time.
    """
    sources, useless, outdated, lives = {}, {}, {}, {}
    may_be_outdated = assigned.atomic or assigned.stream_time is None
    for source, value in assigned.state.items():
        try:
            state, of_source = decode_row(source, value)
        except ValueError as error:
            useless[source[:MAX_KEY_BYTES]] = str(error)
            continue
        if may_be_outdated and state.offset >= assigned.offset:
            outdated[source] = _as_alarms(state, of_source)
            continue
        if not state.is_over:
            sources[source] = state
        if of_source:
            lives[source] = of_source
    return Restored(sources, useless, outdated, lives)


def _as_alarms(state: SourceState, lives: Lives) -> SourceState:
    """The state with the alarms that are on in place of their episodes: one that has latched as one that is open."""
    pairs = zip(KINDS, state.episodes, strict=True)
    physiological, technical = (lives[kind].now(episode) if kind in lives else episode for kind, episode in pairs)
    return state._replace(episodes=(physiological, technical))
