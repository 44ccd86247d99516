"""A dead letter read back: what the record was before it was refused, and whether it may go onto its topic again."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from monitor.deadletters.replay_ledger import Place
from monitor.log import printable
from monitor.records.record import Headers, Message, rfc3339

if TYPE_CHECKING:
    from monitor.beats.parse import Rejected
    from monitor.records.record import Records

OWN_HEADERS = ("reason", "detail", "topic", "partition", "offset", "failed_at")  # as `dead_letter` appends them
OMITTED = "omitted"  # behind those, where the broker found the letter too large
ROUNDS = "replays"
MAX_ROUNDS = 3

_NUMBER = re.compile(rb"[0-9]{1,9}")
_OFFSET = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a monitor wrote behind the record's own headers."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    failed_at: str
    omitted: str  # what the letter lacks; empty: nothing


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of the dead letters topic."""

    place: Place
    time: int  # record timestamp, ms since the epoch; negative where there is none
    key: bytes | None
    value: bytes | None
    headers: Headers  # the record's own, without its rounds
    rounds: int  # how often it was put back already
    refusal: Refusal | None  # None: no monitor wrote it


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """What may go back."""

    topic: str
    max_rounds: int
    oldest_ms: int  # what is older is deleted by the topic, or left out by the monitor


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that was no beat, on its way to the dead letters."""

    partition: int
    reason: str
    message: Message


def dead_letter(records: Records, rejected: Rejected, topic: str, now_ms: int) -> Message:
    """The record as it came, every byte, with the reason in its headers."""
    row = rejected.row
    headers = (
        ("reason", rejected.reason.encode()),
        ("detail", rejected.detail.encode()),
        ("topic", records.topic.encode()),
        ("partition", str(records.partition[row]).encode()),
        ("offset", str(records.offset[row]).encode()),
        ("failed_at", rfc3339(now_ms).encode()),
    )
    return Message(topic, records.key[row], records.value[row], (*records.headers[row], *headers), may_omit_value=True)


def read(record: Any) -> Letter:
    """The letter in a Kafka record. A record's own headers may be named like ours: ours are the last ones."""
    headers = tuple(record.headers)
    end = len(headers)
    while end and headers[end - 1][0] == OMITTED:
        end -= 1
    start = max(0, end - len(OWN_HEADERS))
    refusal = _refusal(headers[start:end], headers[end:])
    own, rounds = _without_rounds(headers if refusal is None else headers[:start])
    return Letter((record.partition, record.offset), record.timestamp, record.key, record.value, own, rounds, refusal)


def _refusal(own: Headers, omitted: Headers) -> Refusal | None:
    if tuple(name for name, _ in own) != OWN_HEADERS:
        return None
    reason, detail, topic, partition, offset, failed_at = (value or b"" for _, value in own)
    if not (_NUMBER.fullmatch(partition) and _OFFSET.fullmatch(offset)):
        return None
    word, sentence, name = (value.decode(errors="replace") for value in (reason, detail, topic))
    lacks = ", ".join((value or b"").decode(errors="replace") for _, value in omitted)
    return Refusal(word, sentence, name, int(partition), int(offset), failed_at.decode(errors="replace"), lacks)


def _without_rounds(headers: Headers) -> tuple[Headers, int]:
    """A replay appends its header: only the last one is ours."""
    if headers and headers[-1][0] == ROUNDS and _NUMBER.fullmatch(headers[-1][1] or b""):
        return headers[:-1], int(headers[-1][1])
    return headers, 0


def objection(letter: Letter, refusal: Refusal, rules: ReplayRules) -> tuple[str, str] | None:
    """Why the letter must stay: a word to count it by, and a sentence."""
    if refusal.omitted:
        return "incomplete", (
            f"lacks its {refusal.omitted}: the record itself stands at {_origin(refusal)} while that topic keeps it"
        )
    if refusal.topic != rules.topic:
        return "other-topic", f"came from {refusal.topic}, and MONITOR_BEATS_TOPIC is {rules.topic}"
    if letter.rounds >= rules.max_rounds:
        return "past-limit", (
            f"was put back {letter.rounds} times and failed again: mend the cause, then raise --max-rounds"
        )
    if 0 <= letter.time < rules.oldest_ms:
        return "too-old", (
            f"is older than the retention.ms of {rules.topic} or MONITOR_MAX_AGE_SECONDS: it would go unread"
        )
    return None


def _origin(refusal: Refusal) -> str:
    return f"{refusal.topic}/{refusal.partition} offset {refusal.offset}"


def back(letter: Letter, refusal: Refusal) -> Message:
    """The record as it was before it was refused, and how often it has been put back."""
    rounds = (ROUNDS, b"%d" % (letter.rounds + 1))
    return Message(refusal.topic, letter.key, letter.value, (*letter.headers, rounds), partition=refusal.partition)


def place_name(letter: Letter) -> str:
    return "letter {}/{}".format(*letter.place)


def as_line(letter: Letter, *, is_replayed: bool) -> str:
    """For people: where and when, why, whose, what became of it."""
    facts = [place_name(letter), rfc3339(letter.time)]
    key = "no key" if letter.key is None else f"key {letter.key.decode(errors='backslashreplace')!r}"
    size = "no value" if letter.value is None else f"{len(letter.value)} bytes"
    if letter.refusal is None:
        return "  ".join([*facts, "(not written by a monitor)", printable(key), size])
    refusal = letter.refusal
    facts = [place_name(letter), refusal.failed_at, refusal.reason, key, _origin(refusal), size]
    facts.append(f"rounds {letter.rounds}{', put back' if is_replayed else ''}")
    facts += [f"lacks its {refusal.omitted}"] if refusal.omitted else []
    return "  ".join(map(printable, [*facts, refusal.detail]))


def as_json(letter: Letter, *, is_replayed: bool) -> str:
    """For programs: bytes as text where they are UTF-8, else in base64."""
    content = {
        "letter": dict(zip(("partition", "offset"), letter.place, strict=True)),
        "rounds": letter.rounds,
        "replayed": is_replayed,
        "key": _bytes(letter.key),
        "value": _bytes(letter.value),
        "headers": [[name, _bytes(value)] for name, value in letter.headers],
    }
    refusal = {} if letter.refusal is None else asdict(letter.refusal)
    return orjson.dumps(refusal | content).decode()


def _bytes(content: bytes | None) -> dict[str, str] | None:
    if content is None:
        return None
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
