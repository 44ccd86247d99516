"""What is remembered of a source in trouble, as the state topic holds it: JSON with a schema number.

Kept as Kafka Streams keeps its stores: a compacted topic beside the beats, a row for each source in trouble, written
with the alerts and the offsets of the same step, to the partition that the beats came from.
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
    clock: _Int64  # the stored name
    tracks: dict[Literal["physiological", "technical"], EpisodeState]

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


_ROW = TypeAdapter(_Row)
_FIELDS = ",".join(f'"{field}":%d' for field in EpisodeState._fields)
_SHAPE, _SIGNAL = (f'"{kind}":{{{_FIELDS}}}'.encode() for kind in KINDS)  # numbers alone: quicker than any encoder


@dataclass(frozen=True, slots=True)
class Restored:
    """A partition's sources in trouble; rows that were of no use, and those that are to be deleted because of it."""

    sources: dict[bytes, SourceState]
    useless: dict[bytes, str]  # source -> what is wrong
    outdated: tuple[bytes, ...]  # sources


def rows(
    changes: Sequence[StateChange], outdated: Mapping[int, Iterable[bytes]], topic: str
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Messages that write down what is remembered, and those that delete what is over, outdated rows included."""
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
    """A row's value; a quiet track is left out."""
    (shape, signal), stream_time, offset = state
    episodes = [_SHAPE % shape] if shape != QUIET else []
    if signal != QUIET:
        episodes.append(_SIGNAL % signal)
    return b'{"schema":%d,"offset":%d,"clock":%d,"tracks":{%b}}' % (SCHEMA, offset, stream_time, b",".join(episodes))


def decode(value: bytes) -> SourceState:
    """The reverse. Raises ValueError with a sentence for what is no row of this schema."""
    try:
        row = _ROW.validate_json(value)
    except ValidationError as error:
        raise ValueError(first_error(error)) from None
    shape, signal = (row.tracks.get(kind, QUIET) for kind in KINDS)
    return SourceState((shape, signal), row.clock, row.offset)


def restore(assigned: Assigned) -> Restored:
    """What a partition's rows say.

    A row that includes beats from beyond the committed offset was written in a future that somebody took back by
    setting the group's offsets, unless offsets only follow the rows (at least once): then those beats are known
    already. Who sets offsets by hand leaves no clock with them.
    """
    sources, useless, outdated = {}, {}, []
    is_taken_back = assigned.atomic or assigned.stream_time is None
    for source, value in assigned.state.items():
        try:
            state = decode(value)
        except ValueError as error:
            useless[source] = str(error)
            continue
        if is_taken_back and state.offset >= assigned.offset:
            outdated.append(source)
        elif not state.is_over:
            sources[source] = state
    return Restored(sources, useless, tuple(outdated))
