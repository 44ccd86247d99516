"""The dead letter: a refused record, with the reason in headers after its own. Only this module writes and reads it.

The headers of a letter, in this order:

1. the record's own, unchanged; the last one may be `replays`: how often the record was put back before;
2. those of the refusal: one for each field of `Refusal` except `omitted` (OWN_HEADERS);
3. `omitted`, once or twice, if the letter was too large: what was left out of it.

Nothing in a record may make its letter undeliverable: a letter above MAX_LETTER_BYTES is written without the record's
value, then without its key and headers. What is left has fewer than 1,000 bytes, and names where the record stands.

A record may have headers of these names itself. So they are recognised by their place at the end, not by name alone.
"""

from __future__ import annotations

import base64
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import orjson

from monitor.deadletters.replay_ledger import Position
from monitor.records.record import Headers, Message, record_time, rfc3339
from monitor.terminal import count_of, printable, printable_json

if TYPE_CHECKING:
    from monitor.beats.parse import Rejected
    from monitor.records.record import Records

MAX_ROUNDS = 3  # how often a record is put back, unless the command says otherwise
MAX_LETTER_BYTES = 1_000_000  # Kafka takes 1,048,588 unless a topic's max.message.bytes says otherwise

_OMITTED = "omitted"
_ROUNDS = "replays"
_NUMBER = re.compile(rb"[0-9]{1,9}")
_ROUNDS_SO_FAR = re.compile(rb"[1-9][0-9]{0,8}")  # a replay writes no 0: that is a record's own header
_OFFSET = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why and where a record was refused. Each field but the last is a header of the letter, by the same name."""

    reason: str  # one word of `monitor.beats.parse.REASONS`
    detail: str  # a sentence
    topic: str  # where the record stands
    partition: int
    offset: int
    failed_at: str  # RFC 3339
    omitted: str = ""  # what the letter lacks; empty: nothing


OWN_HEADERS = tuple(field.name for field in fields(Refusal) if field.name != _OMITTED)


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of the dead letters topic."""

    position: Position
    time: int  # record timestamp, ms since the epoch; negative where there is none
    key: bytes | None
    value: bytes | None
    headers: Headers  # the record's own, without `replays`
    rounds: int  # how often it was put back already
    refusal: Refusal | None  # None: no monitor wrote it


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """Which letters may be put back."""

    topic: str
    max_rounds: int
    oldest_ms: int  # the beats topic deletes what is older, or the monitor leaves it out


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A refused record with the letter about it; `partition` is where the record stands."""

    partition: int
    reason: str
    message: Message


def dead_letter(records: Records, rejected: Rejected, topic: str, now_ms: int) -> Message:
    """The letter about one record of a batch: every byte that there is room for, and the headers of its refusal."""
    row = rejected.row
    partition, offset = int(records.partition[row]), int(records.offset[row])
    refusal = Refusal(rejected.reason, rejected.detail, records.topic, partition, offset, rfc3339(now_ms))
    headers = tuple((name, str(getattr(refusal, name)).encode()) for name in OWN_HEADERS)
    if row in records.set_aside:
        return Message(topic, None, None, (*headers, (_OMITTED, b"key, value and headers")), may_omit_value=True)
    own = records.headers[row]
    message = Message(topic, records.key[row], records.value[row], (*own, *headers), may_omit_value=True)
    while message.size > MAX_LETTER_BYTES:
        message = smaller(message)
    return message


def smaller(message: Message) -> Message:
    """A letter that is too large, without its value; the second time, without the record's key and headers."""
    if message.value is not None:
        lacks = b"value, %d bytes" % len(message.value)
        return message._replace(value=None, headers=(*message.headers, (_OMITTED, lacks)))
    omitted = message.headers[_end_of_refusal(message.headers) :]
    refusal = message.headers[: len(message.headers) - len(omitted)][-len(OWN_HEADERS) :]
    lacks = b"key and headers"
    if omitted and omitted[-1][1] == lacks:
        return message
    return message._replace(key=None, headers=(*refusal, *omitted, (_OMITTED, lacks)))


def _end_of_refusal(headers: Headers) -> int:
    """Where the headers `omitted` begin, at the end of a letter's headers."""
    end = len(headers)
    while end and headers[end - 1][0] == _OMITTED:
        end -= 1
    return end


def read(record: Any) -> Letter:
    """The letter in a record as the Kafka client gives it."""
    headers = tuple(record.headers)
    end = _end_of_refusal(headers)
    start = max(0, end - len(OWN_HEADERS))
    refusal = _refusal(headers[start:end], headers[end:])
    own, rounds = _without_rounds(headers if refusal is None else headers[:start])
    position = record.partition, record.offset
    return Letter(position, record.timestamp, record.key, record.value, own, rounds, refusal)


def _refusal(headers: Headers, omitted: Headers) -> Refusal | None:
    """The refusal in the last headers of a letter; None where these are not such headers."""
    if tuple(name for name, _ in headers) != OWN_HEADERS:
        return None
    encoded = {name: value or b"" for name, value in headers}
    if not (_NUMBER.fullmatch(encoded["partition"]) and _OFFSET.fullmatch(encoded["offset"])):
        return None
    text: dict[str, Any] = {name: _decoded(value) for name, value in encoded.items()}
    numbers = {name: int(text[name]) for name in ("partition", "offset")}
    return Refusal(**text | numbers, omitted=", ".join(_decoded(value) for _, value in omitted))


def _decoded(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _without_rounds(headers: Headers) -> tuple[Headers, int]:
    """A record's own headers without the one that a replay appended, and the number in that one."""
    if headers and headers[-1][0] == _ROUNDS and _ROUNDS_SO_FAR.fullmatch(headers[-1][1] or b""):
        return headers[:-1], int(headers[-1][1])
    return headers, 0


def replay_message(letter: Letter, refusal: Refusal) -> Message:
    """The record as it was before it was refused, for the partition it came from, with its rounds counted up."""
    rounds = (_ROUNDS, b"%d" % (letter.rounds + 1))
    return Message(refusal.topic, letter.key, letter.value, (*letter.headers, rounds), partition=refusal.partition)


def why_not_replayed(letter: Letter, refusal: Refusal, rules: ReplayRules) -> tuple[str, str] | None:
    """Why the letter must not be put back: a word to count it by, and a sentence. None where it may be."""
    if refusal.omitted:
        return "incomplete", (
            f"lacks its {refusal.omitted}: the record itself stands at {_origin(refusal)} while that topic keeps it"
        )
    if refusal.topic != rules.topic:
        return "other-topic", f"came from {refusal.topic}, and MONITOR_BEATS_TOPIC is {rules.topic}"
    if letter.rounds >= rules.max_rounds:
        return "past-limit", (
            f"was put back {letter.rounds} times and failed again: fix the cause, then raise --max-rounds"
        )
    if 0 <= letter.time < rules.oldest_ms:
        return "too-old", (
            f"is older than the retention.ms of {rules.topic} or MONITOR_MAX_AGE_SECONDS: it would go unread"
        )
    return None


def _origin(refusal: Refusal) -> str:
    return f"{refusal.topic}/{refusal.partition} offset {refusal.offset}"


def letter_name(letter: Letter) -> str:
    """`letter <partition>/<offset>`, by its position on the dead letters topic."""
    return "letter {}/{}".format(*letter.position)


def as_line(letter: Letter, *, is_replayed: bool) -> str:
    """One line for people: the letter, when and why the record was refused, its key, whether it was put back.

    Control characters are replaced: names come from outside, and a terminal obeys them.
    """
    facts = [letter_name(letter), record_time(letter.time) or "no timestamp"]
    key = "no key" if letter.key is None else f"key {letter.key.decode(errors='backslashreplace')!r}"
    size = "no value" if letter.value is None else count_of(len(letter.value), "byte")
    if letter.refusal is None:
        return "  ".join([*facts, "(not written by a monitor)", printable(key), size])
    refusal = letter.refusal
    facts = [letter_name(letter), refusal.failed_at, refusal.reason, key, _origin(refusal), size]
    facts.append(f"rounds {letter.rounds}{', put back' if is_replayed else ''}")
    facts += [f"lacks its {refusal.omitted}"] if refusal.omitted else []
    return "  ".join(map(printable, [*facts, refusal.detail]))


def as_json(letter: Letter, *, is_replayed: bool) -> str:
    """One line of JSON for programs: bytes as text where they are UTF-8, else in base64. It is safe for a terminal."""
    content = {
        "letter": dict(zip(("partition", "offset"), letter.position, strict=True)),
        "rounds": letter.rounds,
        "replayed": is_replayed,
        "key": _bytes(letter.key),
        "value": _bytes(letter.value),
        "headers": [[name, _bytes(value)] for name, value in letter.headers],
    }
    refusal = {} if letter.refusal is None else asdict(letter.refusal)
    return printable_json(orjson.dumps(refusal | content).decode())


def _bytes(content: bytes | None) -> dict[str, str] | None:
    if content is None:
        return None
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
