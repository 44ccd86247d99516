"""Writes and reads control messages: records that set thresholds, reset, acknowledge, pause or end.

No I/O.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from monitor.alarms.lifecycle import Acknowledgement
from monitor.alarms.pauses import ALL, FOREVER, PauseCommand
from monitor.alarms.rule import KINDS
from monitor.alarms.source_end import SourceEnd, read_offsets
from monitor.beats.beat import MAX_KEY_BYTES as MAX_SOURCE_BYTES
from monitor.errors import RefusedError
from monitor.records import strict_json
from monitor.records.stream_time import is_time
from monitor.records.strict_json import UnclearError
from monitor.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from monitor.alarms.rule import Kind
    from monitor.records.record import ControlRecord

Measure = Literal["threshold", "false_alarm_rate"]
_Request = TypeVar("_Request", "ProfileReset", "AcknowledgeCommand", "PauseCommand", "SourceEnd")
MEASURES: tuple[Measure, ...] = get_args(Measure)
MAX_VALUE_BYTES = 64 * 1024
_THRESHOLD = b"threshold/"
_PROFILE = b"profile/"
_ACKNOWLEDGE = b"acknowledge/"
_PAUSE = b"pause/"
_SOURCE = b"source/"
MAX_KEY_BYTES = len(_ACKNOWLEDGE) + max(map(len, KINDS)) + 1 + MAX_SOURCE_BYTES  # of the longest key
MAX_TEXT = 200  # characters of a name or a note that are kept
MAX_BY, MAX_ACKNOWLEDGE_NOTE = 64, 128  # characters of an acknowledgement: both kinds of it are in a state row
_ALARM = re.compile(r"(physiological|technical):([A-Za-z0-9._-]{1,249}):([0-9]{1,9}):([0-9]{1,18})")
_SHOWN_KEY_BYTES = 80  # of a key in a sentence


@dataclass(frozen=True, slots=True)
class ThresholdCommand:
    """A command that sets a threshold, given as a score or as a false-alarm rate."""

    measure: Measure
    amount: float  # a score, or a share of the normal beats between 0 and 1
    by: str = ""  # who gave the command
    note: str = ""  # why


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """The content of one control record: the source, and its new threshold if there is one."""

    source: bytes  # or ALL
    command: ThresholdCommand | None  # None removes the source's threshold


@dataclass(frozen=True, slots=True)
class ProfileReset:
    """A command that lets a source learn its profile again."""

    source: bytes
    version: int  # offset of the control record
    by: str = ""  # who gave the command
    note: str = ""  # why


@dataclass(frozen=True, slots=True)
class AcknowledgeCommand:
    """A command that says that somebody has seen one alarm."""

    source: bytes
    kind: Kind
    topic: str  # of the beats
    partition: int
    alarm: int  # offset of the beat that opened it
    given: Acknowledgement


def pause_key(source: str) -> bytes:
    """The record key of a source's pause, or that of all. Raises RefusedError for a name that no source has."""
    return _PAUSE + _source(_encoded(source))


def encode_pause(by: str, at_ms: int, until_ms: int | None, note: str, *, is_on: bool = True) -> bytes:
    """The record value that pauses, or with `is_on` False resumes. Raises RefusedError for what `read` refuses."""
    _check_person(by, note)
    fields: dict[str, Any] = {"pause": is_on, "by": by, "at": at_ms}
    fields |= {} if until_ms is None else {"until": until_ms}
    value = json.dumps(fields | ({"note": note} if note else {})).encode()
    _pause(ALL, value, 0)
    return value


def acknowledge_key(kind: Kind, source: str) -> bytes:
    """The record key of acknowledgements. Raises RefusedError for a name that no source of beats can have."""
    return b"%b%b/%b" % (_ACKNOWLEDGE, kind.encode(), _source(_encoded(source)))


def encode_acknowledgement(alarm_id: str, by: str, at_ms: int, note: str) -> bytes:
    """The record value that acknowledges an alarm. Raises RefusedError for one that `read` would refuse."""
    _check_person(by, note)
    value = json.dumps({"alarm": alarm_id, "by": by, "at": at_ms} | ({"note": note} if note else {})).encode()
    kind = _alarm(alarm_id)[0]
    _acknowledgement(b"%b/?" % kind.encode(), value, 0)
    return value


def end_key(source: str) -> bytes:
    """The record key that ends a source. Raises RefusedError for a name that no source of beats can have."""
    return _SOURCE + _source(_encoded(source))


def encode_end(topic: str, before: Mapping[int, int], given: Acknowledgement) -> bytes:
    """The record value that ends a source. Raises RefusedError for one that `read` would refuse.

    `before`: of each partition of the beats topic `topic` that has its beats, the offset before which they are over.
    """
    _check_person(given.by, given.note)
    fields: dict[str, Any] = {"end": before, "topic": topic, "by": given.by, "at": given.at}
    value = json.dumps(fields | ({"note": given.note} if given.note else {})).encode()
    _end(b"?", value, 0)
    return value


def _check_person(by: str, note: str) -> None:
    if not by.strip():
        raise RefusedError("nobody is named who gives the command")
    if len(by) > MAX_BY or len(note) > MAX_ACKNOWLEDGE_NOTE:
        raise RefusedError(f"a name has at most {MAX_BY} characters, and a note {MAX_ACKNOWLEDGE_NOTE}")


def key(source: str) -> bytes:
    """The record key of a source's thresholds. Raises RefusedError for a name that no source of beats can have."""
    _source(name := _encoded(source))
    return _THRESHOLD + name


def profile_key(source: str) -> bytes:
    """The record key of a source's profile. Raises RefusedError for a name that no source of beats can have."""
    _profile_source(name := _encoded(source))
    return _PROFILE + name


def _encoded(source: str) -> bytes:
    try:
        return source.encode()
    except UnicodeEncodeError:
        raise RefusedError("the source is not UTF-8, as every source of beats is") from None


def encode_reset(by: str, note: str) -> bytes:
    """The record value that resets a profile. Raises RefusedError for one that `read` would refuse."""
    texts = {"by": by, "note": note}
    value = json.dumps({"reset": True} | {name: text for name, text in texts.items() if text}).encode()
    _reset(b"", value, 0)
    return value


def encode(command: ThresholdCommand) -> bytes:
    """The record value of a command. Raises RefusedError for a command that `read` would refuse."""
    fields = {command.measure: command.amount, "by": command.by, "note": command.note}
    value = json.dumps({name: field for name, field in fields.items() if field != ""}).encode()
    _command(value)
    return value


def read(record: ControlRecord) -> ControlRequest | ProfileReset | AcknowledgeCommand | PauseCommand | SourceEnd | None:
    """The request in a record.

    None for a reset, an acknowledgement or an end that was taken back: it has happened. Raises RefusedError, with what
    is wrong, for a record that cannot be read or whose values are not allowed.
    """
    if record.key is not None and record.key.startswith(_SOURCE):
        source = _source(record.key.removeprefix(_SOURCE))
        return None if record.value is None else _end(source, record.value, record.offset)
    if record.key is not None and record.key.startswith(_ACKNOWLEDGE):
        rest = record.key.removeprefix(_ACKNOWLEDGE)
        return None if record.value is None else _acknowledgement(rest, record.value, record.offset)
    if record.key is not None and record.key.startswith(_PAUSE):
        return _pause(_source(record.key.removeprefix(_PAUSE)), record.value, record.offset)
    if record.key is not None and record.key.startswith(_PROFILE):
        source = _profile_source(record.key.removeprefix(_PROFILE))
        return None if record.value is None else _reset(source, record.value, record.offset)
    if record.key is None or not record.key.startswith(_THRESHOLD):
        raise RefusedError(
            "the key names no source, as threshold/<source>, threshold/*, profile/<source> and source/<source> do"
        )
    source = _source(record.key.removeprefix(_THRESHOLD))
    return ControlRequest(source, None if record.value is None else _command(record.value))


def resets(records: Iterable[ControlRecord]) -> tuple[ProfileReset, ...]:
    """The profiles that records reset. What cannot be read is left out: `Thresholds.apply` says what is wrong."""
    return tuple(_requests(records, _PROFILE, ProfileReset))


def acknowledgements(records: Iterable[ControlRecord]) -> list[AcknowledgeCommand]:
    """The acknowledgements among records. What cannot be read is left out, as in `resets`."""
    return list(_requests(records, _ACKNOWLEDGE, AcknowledgeCommand))


def pauses(records: Iterable[ControlRecord]) -> list[PauseCommand]:
    """The commands among records that pause alarms or let them go on. What cannot be read is left out."""
    return list(_requests(records, _PAUSE, PauseCommand))


def source_ends(records: Iterable[ControlRecord]) -> list[SourceEnd]:
    """The ends of sources among records. What cannot be read is left out, as in `resets`."""
    return list(_requests(records, _SOURCE, SourceEnd))


def _requests(records: Iterable[ControlRecord], prefix: bytes, kind: type[_Request]) -> Iterator[_Request]:
    """The requests of one kind, whose keys begin with `prefix`; what cannot be read is left out."""
    for record in records:
        if record.key is None or not record.key.startswith(prefix):  # a start may read 100,000 thresholds
            continue
        with suppress(RefusedError):
            request = read(record)
            if isinstance(request, kind):
                yield request


def why_ignored(record: ControlRecord, error: RefusedError, *, names_source: bool = True) -> str:
    """One sentence on a record that is ignored because of `error`. Control characters of the key are replaced."""
    key = record.key
    name = "no key" if key is None else f"key {key[:_SHOWN_KEY_BYTES].decode(errors='backslashreplace')}"
    whose = f", {name}" if names_source else ""
    return printable(f"control record at offset {record.offset}{whose}: {error}; it is ignored")


def _profile_source(source: bytes) -> bytes:
    """The same name. Raises RefusedError for one that no single source of beats has."""
    if source == ALL:
        raise RefusedError("profiles are reset one source at a time, and * means all")
    return _source(source)


def _source(source: bytes) -> bytes:
    """The same name. Raises RefusedError for one that no source of beats has."""
    if not source:
        raise RefusedError("the source has no name")
    if len(source) > MAX_SOURCE_BYTES:
        raise RefusedError(f"the source has more than {MAX_SOURCE_BYTES} bytes, which no source of beats has")
    try:
        source.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"the source is not UTF-8 at byte {error.start}, as every source of beats is") from None
    return source


def _fields(value: bytes) -> dict[str, Any]:
    """The fields of a record value. Raises RefusedError for a value that is not one JSON object."""
    if len(value) > MAX_VALUE_BYTES:
        raise RefusedError(f"it has more than the {MAX_VALUE_BYTES} bytes that a control message has at most")
    try:
        return strict_json.read(value)
    except UnclearError as error:
        raise RefusedError(error.detail) from None


def _reset(source: bytes, value: bytes, version: int) -> ProfileReset:
    """The reset in a record value. Raises RefusedError for a value that is none."""
    fields = _fields(value)
    if fields.get("reset") is not True:
        raise RefusedError("it has no `reset` that is true, as a record that resets a profile has")
    return ProfileReset(source, version, _text(fields.get("by")), _text(fields.get("note")))


def _acknowledgement(rest: bytes, value: bytes, version: int) -> AcknowledgeCommand:
    """The acknowledgement in a record; `rest`: its key behind the first `/`. Raises RefusedError."""
    _, _, source = rest.partition(b"/")
    fields = _fields(value)
    kind, topic, partition, alarm = _alarm(fields.get("alarm"))
    if rest != b"%b/%b" % (kind.encode(), _source(source)):
        raise RefusedError("the key is not acknowledge/<kind>/<source>, with the kind of the alarm")
    by, note = _person(fields)
    given = Acknowledgement(by, _time(fields, "at"), note, version)
    return AcknowledgeCommand(source, kind, topic, partition, alarm, given)


def _pause(source: bytes, value: bytes | None, version: int) -> PauseCommand:
    """The command in a record; without a value the alarms go on. Raises RefusedError."""
    if value is None:
        return PauseCommand(source, is_on=False, since=0, until=FOREVER, version=version)
    fields = _fields(value)
    is_on = fields.get("pause")
    if not isinstance(is_on, bool):
        raise RefusedError("it has no `pause` that is true or false")
    (by, note), since = _person(fields), _time(fields, "at")
    until = _time(fields, "until") if "until" in fields else FOREVER
    if until <= since:
        raise RefusedError("its `until` is not after its `at`")
    return PauseCommand(source, is_on, since, until, by, note, version)


def _person(fields: dict[str, Any]) -> tuple[str, str]:
    """Who gives a command, and why. Raises RefusedError where nobody is named."""
    by = _line(fields.get("by"), MAX_BY)
    if not by.strip():
        raise RefusedError("it has no `by`, who gives the command")
    return by, _line(fields.get("note"), MAX_ACKNOWLEDGE_NOTE)


def _time(fields: dict[str, Any], name: str) -> int:
    time = fields.get(name)
    if not isinstance(time, float) or not time.is_integer() or not is_time(int(time)):
        raise RefusedError(f"it has no `{name}`, a time in ms since 1970")
    return int(time)


def _end(source: bytes, value: bytes, version: int) -> SourceEnd:
    """The end of a source in a record value. Raises RefusedError."""
    fields = _fields(value)
    (topic, before), (by, note) = read_offsets(fields), _person(fields)
    return SourceEnd(source, topic, before, Acknowledgement(by, _time(fields, "at"), note, version))


def _alarm(alarm_id: object) -> tuple[Kind, str, int, int]:
    """Kind, topic, partition and offset in the id of an alarm. Raises RefusedError for what is none."""
    found = _ALARM.fullmatch(alarm_id) if isinstance(alarm_id, str) else None
    if found is None:
        raise RefusedError("`alarm` is not the id of an alarm, such as physiological:ecg.beats:0:12")
    kind: Kind = "physiological" if found[1] == KINDS[0] else "technical"
    return kind, found[2], int(found[3]), int(found[4])


def _line(field: object, most: int) -> str:
    """The beginning of a text that goes into rows and alerts: without control characters, valid as UTF-8."""
    return printable(_text(field)[:most].encode(errors="replace").decode())


def _command(value: bytes) -> ThresholdCommand:
    """The command in a record value. Raises RefusedError for a value that is not exactly one valid command."""
    fields = _fields(value)
    given = [name for name in MEASURES if name in fields]
    if len(given) != 1:
        names = "both `threshold` and" if given else "neither `threshold` nor"
        raise RefusedError(f"it has {names} `false_alarm_rate`, where one of them is expected")
    amount = _amount(given[0], fields[given[0]])
    return ThresholdCommand(given[0], amount, _text(fields.get("by")), _text(fields.get("note")))


def _text(field: object) -> str:
    """The beginning of a text field; empty if the field is missing or is not text."""
    return field[:MAX_TEXT] if isinstance(field, str) else ""


def _amount(name: Measure, amount: object) -> float:
    if not isinstance(amount, float):
        raise RefusedError(f"`{name}` is {strict_json.kind(amount)}, where a number is expected")
    if name == "false_alarm_rate" and not 0 < amount < 1:
        raise RefusedError(f"`{name}` is {amount:g}, where a share of the normal beats is expected, between 0 and 1")
    if not (amount > 0 and math.isfinite(amount)):
        raise RefusedError(f"`{name}` is {amount:g}, where a number above 0 is expected")
    return amount
