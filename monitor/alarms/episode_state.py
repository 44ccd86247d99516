"""The state of a source as a row of the state topic: JSON with a schema number.

The state topic is compacted and has as many partitions as the beats topic. It holds a row for each source that has a
state, in the partition of its beats, written in the same transaction as the alerts and offsets of a step. Kafka Streams
keeps its stores in the same way (changelog topics).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from monitor.alarms.rule import KINDS, QUIET, EpisodeState, SourceState
from monitor.records.record import Message
from monitor.validation import first_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitor.alarms.episodes import StateChange
    from monitor.records.record import Assigned

SCHEMA: Literal[1] = 1
_Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]


@dataclass(frozen=True, slots=True)
class _Row:
    schema: Literal[1]
    offset: _Int64
    clock: _Int64  # the stored name of the stream time
    tracks: dict[Literal["physiological", "technical"], EpisodeState]  # the stored name of the episode states

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


_ROW = TypeAdapter(_Row)
_FIELDS = ",".join(f'"{field}":%d' for field in EpisodeState._fields)
_PHYSIOLOGICAL, _TECHNICAL = (
    f'"{kind}":{{{_FIELDS}}}'.encode() for kind in KINDS
)  # numbers alone: this is faster than an encoder


@dataclass(frozen=True, slots=True)
class Restored:
    """The states of one partition, as read from its rows."""

    sources: dict[bytes, SourceState]
    useless: dict[bytes, str]  # rows that could not be read: source -> what is wrong
    outdated: tuple[bytes, ...]  # sources whose rows are to be deleted, see `restore`


def rows(
    changes: Sequence[StateChange], outdated: Mapping[int, Iterable[bytes]], topic: str
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Messages that write the states, and messages that delete the rows of states that are over.

    `outdated` are the sources of each partition whose rows are to be deleted; where a source has a new state, that
    replaces the row.
    """
    stale = [(partition, source) for partition, sources in outdated.items() for source in sources]
    known = {change[:2] for change in changes} if stale else set()
    gone = [place for place in stale if place not in known]
    gone += [(partition, source) for partition, source, state in changes if state is None]
    return (
        tuple(
            Message(topic, source, encode(state), partition=partition)
            for partition, source, state in changes
            if state is not None
        ),
        tuple(Message(topic, source, None, partition=partition) for partition, source in gone),
    )


def encode(state: SourceState) -> bytes:
    """The value of a row of the state topic. A kind of episode with nothing to remember is left out."""
    (physiological, technical), stream_time, offset = state
    episodes = [_PHYSIOLOGICAL % physiological] if physiological != QUIET else []
    if technical != QUIET:
        episodes.append(_TECHNICAL % technical)
    return b'{"schema":%d,"offset":%d,"clock":%d,"tracks":{%b}}' % (SCHEMA, offset, stream_time, b",".join(episodes))


def decode(value: bytes) -> SourceState:
    """The state in a row's value. Raises ValueError with a sentence for what is not a row of this schema."""
    try:
        row = _ROW.validate_json(value)
    except ValidationError as error:
        raise ValueError(first_error(error)) from None
    physiological, technical = (row.tracks.get(kind, QUIET) for kind in KINDS)
    return SourceState((physiological, technical), row.clock, row.offset)


def restore(assigned: Assigned) -> Restored:
    """The states in a partition's rows, when a member begins to read it.

    A row may include beats from beyond the committed offset. With transactions that happens only after the group's
    offsets were set back by hand: the row is outdated and will be deleted, because those beats are read again. At least
    once, rows are written before offsets, so such a row is the normal case and its beats are known already; there,
    offsets that were set by hand are recognised by the missing stream time.
    """
    sources, useless, outdated = {}, {}, []
    may_be_outdated = assigned.atomic or assigned.stream_time is None
    for source, value in assigned.state.items():
        try:
            state = decode(value)
        except ValueError as error:
            useless[source] = str(error)
            continue
        if may_be_outdated and state.offset >= assigned.offset:
            outdated.append(source)
        elif not state.is_over:
            sources[source] = state
    return Restored(sources, useless, tuple(outdated))
