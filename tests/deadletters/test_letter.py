"""A dead letter read back: the record as it was, its rounds, and why it may have to stay."""

from __future__ import annotations

import base64
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.beats.parse import REASONS, Rejected
from monitor.deadletters.letter import (
    MAX_LETTER_BYTES,
    OWN_HEADERS,
    Refusal,
    ReplayRules,
    as_json,
    as_line,
    dead_letter,
    read,
    replay_message,
    smaller,
    why_not_replayed,
)
from monitor.records.column import Column
from monitor.records.record import Records

RULES = ReplayRules("ecg.beats", 3, 0)
BYTES = st.binary(max_size=20)
NAMES = st.one_of(st.sampled_from([*OWN_HEADERS, "omitted", "replays"]), st.text(max_size=8))
HEADERS = st.lists(st.tuples(NAMES, BYTES), max_size=9).map(tuple)


def refused(key=b"bed 7", value=b"{", headers=(), topic="ecg.beats", detail="no good"):
    """The message that the monitor writes about a record at partition 1, offset 42."""
    at = [np.array([number]) for number in (1, 42, 1000)]
    records = Records(topic, *at, Column.of((key,)), Column.of((value,)), (headers,))
    return dead_letter(records, Rejected(0, "not-json", detail), "ecg.dead-letters", 5000)


def stored(message, extra=()):
    """The same as a record of the dead letters topic."""
    headers = [*message.headers, *extra]
    return SimpleNamespace(partition=3, offset=9, timestamp=6000, key=message.key, value=message.value, headers=headers)


@given(st.none() | BYTES, st.none() | BYTES, HEADERS)
@example(None, None, (("replays", b"0"),))
def test_a_letter_is_replayed_unchanged_and_its_rounds_are_counted(key, value, headers):
    start = read(stored(refused(key, value, headers)))
    own = headers[:-1] if start.rounds else headers
    for already in range(start.rounds, start.rounds + 3):
        letter = read(stored(refused(key, value, headers)))
        message = replay_message(letter, letter.refusal)
        assert (message.topic, message.partition) == ("ecg.beats", 1)
        assert (message.key, message.value) == (key, value)
        assert message.headers == (*own, ("replays", b"%d" % (already + 1)))
        headers = message.headers


REFUSALS = st.builds(
    Refusal,
    reason=st.sampled_from(REASONS),
    detail=st.text(max_size=30),
    topic=st.sampled_from(["ecg.beats", "other"]),
    partition=st.integers(0, 10**9 - 1),
    offset=st.integers(0, 10**18 - 1),
    failed_at=st.just("1970-01-01T00:00:05.000Z"),
)


@given(st.none() | BYTES, st.none() | BYTES, HEADERS, REFUSALS, st.integers(0, 2))
def test_what_is_written_is_read_back_from_the_wire(key, value, headers, refusal, omissions):
    at = [np.array([number]) for number in (refusal.partition, refusal.offset, 1000)]
    records = Records(refusal.topic, *at, Column.of((key,)), Column.of((value,)), (headers,))
    message = dead_letter(records, Rejected(0, refusal.reason, refusal.detail), "ecg.dead-letters", 5000)
    for _ in range(omissions):
        message = smaller(message)
    lacks = [] if value is None else [f"value, {len(value)} bytes"]
    lacks = [*lacks, "key and headers"][:omissions]
    letter = read(stored(message))
    assert letter.refusal == replace(refusal, omitted=", ".join(lacks))
    assert letter.value == (None if omissions else value)
    if lacks[-1:] == ["key and headers"]:
        assert (letter.key, letter.headers) == (None, ())
        return
    replays = (("replays", headers[-1][1]),) if letter.rounds else ()
    assert (letter.key, (*letter.headers, *replays)) == (key, headers)


LONG = b"x" * MAX_LETTER_BYTES


@pytest.mark.parametrize(
    ("record", "lacks"),
    [
        ({"value": LONG}, "value, 1000000 bytes"),
        ({"key": LONG}, "value, 1 bytes, key and headers"),
        ({"key": LONG, "value": None}, "key and headers"),
        ({"headers": (("x", LONG),)}, "value, 1 bytes, key and headers"),
        ({"headers": (("x" * MAX_LETTER_BYTES, b""),)}, "value, 1 bytes, key and headers"),
        ({"headers": (("", b""),) * 100_000}, "value, 1 bytes, key and headers"),
        ({"key": LONG, "value": LONG, "headers": (("x", LONG),)}, "value, 1000000 bytes, key and headers"),
    ],
)
def test_nothing_in_a_record_makes_its_letter_too_large_for_a_topic(record, lacks):
    message = refused(**record)
    assert message.size <= 1000
    letter = read(stored(message))
    assert letter.refusal.omitted == lacks
    assert (letter.refusal.topic, letter.refusal.partition, letter.refusal.offset) == ("ecg.beats", 1, 42)


def test_the_last_headers_with_our_names_are_ours():
    inner = refused(topic="somewhere.else").headers
    letter = read(stored(refused(headers=(*inner, ("replays", b"often")))))
    assert letter.refusal.topic == "ecg.beats"
    assert letter.headers == (*inner, ("replays", b"often"))
    assert letter.rounds == 0


@given(HEADERS)
def test_a_record_that_no_monitor_wrote_is_not_a_letter(headers):
    record = stored(SimpleNamespace(key=None, value=None, headers=(*headers, ("x", b""))))
    assert read(record).refusal is None


@pytest.mark.parametrize(("name", "value"), [("partition", b"-1"), ("offset", b"1e3"), ("offset", b"9" * 5000)])
def test_an_invalid_position_makes_no_letter(name, value):
    message = refused()
    headers = tuple((at, value if at == name else content) for at, content in message.headers)
    assert read(stored(message._replace(headers=headers))).refusal is None


@pytest.mark.parametrize(
    ("letter", "rules", "word", "sentence"),
    [
        ({}, RULES, None, ""),
        ({"topic": "old.beats"}, RULES, "other-topic", "came from old.beats"),
        ({"headers": (("replays", b"2"),)}, RULES, None, ""),
        ({"headers": (("replays", b"3"),)}, RULES, "past-limit", "put back 3 times"),
        ({"headers": (("replays", b"3"),)}, replace(RULES, max_rounds=4), None, ""),
        ({}, replace(RULES, oldest_ms=6001), "too-old", "it would go unread"),
        ({}, replace(RULES, oldest_ms=6000), None, ""),
    ],
)
def test_a_letter_that_cannot_be_replayed_has_a_reason(letter, rules, word, sentence):
    found = read(stored(refused(**letter)))
    why = why_not_replayed(found, found.refusal, rules)
    assert (why and why[0]) == word
    assert why is None or sentence in why[1]


def test_a_letter_without_its_value_names_the_position_of_the_record():
    lacking = read(stored(refused(value=None), [("omitted", b"value, 9 bytes"), ("omitted", b"large headers")]))
    word, sentence = why_not_replayed(lacking, lacking.refusal, RULES)
    assert word == "incomplete"
    assert "lacks its value, 9 bytes, large headers: the record itself stands at ecg.beats/1 offset 42" in sentence


def test_a_line_shows_time_reason_source_and_outcome():
    line = as_line(read(stored(refused(headers=(("replays", b"2"),)))), is_replayed=True)
    for word in ("3/9", "1970-01-01T00:00:05.000Z", "not-json", "bed 7", "ecg.beats/1 offset 42", "1 byte ", "no good"):
        assert word in line
    assert "rounds 2, put back" in line


@given(st.none() | BYTES, st.text(), HEADERS)
def test_a_letter_cannot_send_control_sequences_to_the_terminal(key, detail, headers):
    message = refused(key, None, (), detail=detail)
    for record in (stored(message), stored(message, headers)):
        assert as_line(read(record), is_replayed=False).isprintable()


@given(st.none() | BYTES, st.none() | BYTES, HEADERS)
def test_json_holds_every_byte(key, value, headers):
    found = orjson.loads(as_json(read(stored(refused(key, value, headers))), is_replayed=False))
    assert (found["reason"], found["offset"], found["letter"]) == ("not-json", 42, {"partition": 3, "offset": 9})
    for content, expected in ((found["key"], key), (found["value"], value)):
        assert unpack(content) == expected
    own = headers[: len(found["headers"])]
    assert [(name, unpack(content)) for name, content in found["headers"]] == list(own)


def unpack(content):
    if content is None:
        return None
    return content["text"].encode() if "text" in content else base64.b64decode(content["base64"])
