"""What is a beat, what is not, and that a bad record never costs its neighbours."""

from __future__ import annotations

import gzip
import json
import math
from collections import UserList
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.beats import parse
from monitor.beats.beat import MIN_AMPLITUDE
from tests.fakes import records

GOOD = np.sin(np.linspace(0, 7, 140)).astype("<f4")
FLOAT32 = GOOD.tobytes()
NUMBERS = GOOD.tolist()


def as_json(samples: object, **fields: object) -> bytes:
    return json.dumps({"samples": samples, **fields}).encode()


NOT_BEATS = {
    "null": (None, "empty"),
    "no bytes": (b"", "empty"),
    "560 bytes of text": (b"x" * 560, "not-json"),
    "560 blanks": (b" " * 560, "not-json"),
    "560 bytes that look like JSON": (b"{" + b"x" * 558 + b"}", "not-json"),
    "text": (b"hello", "not-json"),
    "559 bytes": (FLOAT32[:-1], "wrong-length"),
    "561 bytes": (FLOAT32 + b"\0", "wrong-length"),
    "139 samples": (as_json(NUMBERS[1:]), "wrong-length"),
    "no samples at all": (as_json([]), "wrong-length"),
    "a JSON list": (json.dumps(NUMBERS).encode(), "not-json"),
    "half a JSON object": (as_json(NUMBERS)[:-1], "not-json"),
    "two JSON objects": (as_json(NUMBERS) + as_json(NUMBERS), "not-json"),
    "invalid UTF-8": (b'{"samples": "\xff"}', "not-json"),
    "nested beyond reason": (b'{"a":' + b"[" * 50_000 + b"}", "not-json"),
    "other fields only": (b'{"sample": [1]}', "no-samples"),
    "samples as text": (as_json("1,2,3"), "not-numbers"),
    "numbers as text": (as_json([str(number) for number in NUMBERS]), "not-numbers"),
    "a null among numbers": (as_json([None, *NUMBERS[1:]]), "not-numbers"),
    "booleans": (as_json([True] * 140), "not-numbers"),
    "nested samples": (as_json([[number] for number in NUMBERS]), "not-numbers"),
    "duplicate samples": (b'{"samples": [1], "samples": [2]}', "duplicate-keys"),
    "a duplicate of another field": (b'{"a": 1, "a": 2, "samples": []}', "duplicate-keys"),
    "a duplicate written otherwise": (b'{"samples": [1], "s\\u0061mples": [2]}', "duplicate-keys"),
    "NaN as float32": (np.full(140, np.nan, "<f4").tobytes(), "not-finite"),
    "infinity as float32": (np.full(140, np.inf, "<f4").tobytes(), "not-finite"),
    "NaN in JSON": (as_json([math.nan] * 140), "not-finite"),
    "infinity in JSON": (as_json([math.inf] * 140), "not-finite"),
    "1e10": (np.full(140, 1e10, "<f4").tobytes(), "out-of-range"),
    "1e39 in JSON, infinite as float32": (as_json([1e39] * 140), "out-of-range"),
    "1e999 in JSON": (b'{"samples": [' + b",".join([b"1e999"] * 140) + b"]}", "out-of-range"),
    "an integer of 5,000 digits": (b'{"samples": [' + b"1" * 5000 + b"]}", "out-of-range"),
    "65 KiB": (b"\xff" * 66_000, "too-large"),
    "big-endian ADC counts": ((GOOD * 200 // 1).astype(">f4").tobytes(), "byte-order"),
    "big-endian millivolts": (GOOD.astype(">f4").tobytes(), "byte-order"),
    "integers of 32 bits": (np.arange(140, dtype="<i4").tobytes(), "byte-order"),
    "positive integers of 16 bits": (np.full(280, 1024, "<i2").tobytes(), "byte-order"),
    "JSON and NUL": (as_json(NUMBERS) + b"\0\0", "wrapped"),
    "UTF-16": (as_json(NUMBERS).decode().encode("utf-16"), "wrapped"),
    "UTF-16 without a mark": (as_json(NUMBERS).decode().encode("utf-16-le"), "wrapped"),
    "gzip": (gzip.compress(as_json(NUMBERS)), "wrapped"),
    "float32 in the frame of a registry": (b"\0\0\0\0\x07" + FLOAT32, "wrapped"),
    "6,000 fields, the last twice": (
        b"{%b}" % b",".join(b'"%d":1' % min(i, 5998) for i in range(6000)),
        "no-samples",
    ),
}


@pytest.mark.parametrize(("value", "reason"), NOT_BEATS.values(), ids=NOT_BEATS.keys())
def test_a_record_that_is_not_a_beat_is_refused_with_its_reason_and_the_others_stay(value, reason):
    beats, rejected = parse.parse(records([FLOAT32, value, as_json(NUMBERS)]))
    assert [(one.row, one.reason) for one in rejected] == [(1, reason)]
    assert rejected[0].detail
    assert beats.offset.tolist() == [0, 2]
    np.testing.assert_allclose(beats.samples, [GOOD, GOOD], rtol=1e-6)


def test_every_reason_is_a_word_that_the_metrics_know():
    assert {reason for _, reason in NOT_BEATS.values()} | {"no-key", "bad-key"} == set(parse.REASONS)


WRAPPED = {
    "a byte-order mark": b"\xef\xbb\xbf" + as_json(NUMBERS),
    "the frame of a schema registry": b"\0\0\0\0\x07" + as_json(NUMBERS),
}


@pytest.mark.parametrize("value", WRAPPED.values(), ids=WRAPPED.keys())
def test_what_a_producer_puts_before_a_json_object_is_taken_off(value):
    beats, rejected = parse.parse(records([FLOAT32, *[value] * 40]))
    assert not rejected
    np.testing.assert_allclose(beats.samples, [GOOD] * 41, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1, 1000, 32767, 1e6])
def test_beats_in_any_unit_and_flat_lines_are_beats(scale):
    values = [(GOOD * scale).astype("<f4").tobytes(), np.zeros(140, "<f4").tobytes(), (GOOD * 0 + scale).tobytes()]
    assert not parse.parse(records(values))[1]


def test_as_many_lengths_of_keys_as_records_cost_no_more_than_those_that_a_source_may_have():
    beats, rejected = parse.parse(records([FLOAT32] * 600, keys=[b"k" * size for size in range(1, 601)]))
    assert beats.source.tolist() == [b"k" * size for size in range(1, 257)]
    assert {one.reason for one in rejected} == {"bad-key"}
    assert "257 bytes, where a source has at most 256" in rejected[0].detail


@pytest.mark.parametrize(
    ("key", "reason"), [(None, "no-key"), (b"", "bad-key"), (b"bed \xff", "bad-key"), (b"k" * 257, "bad-key")]
)
def test_a_record_without_a_usable_key_is_refused(key, reason):
    beats, rejected = parse.parse(
        records([FLOAT32] * 3, keys=[b"a", key, "Bett 7 \N{GREEK SMALL LETTER ALPHA}".encode()])
    )
    assert [(one.row, one.reason) for one in rejected] == [(1, reason)]
    assert beats.offset.tolist() == [0, 2]


@pytest.mark.parametrize(
    "value",
    [
        as_json(NUMBERS, sequence=7, patient={"bed": 3}, ok=True),
        b"  \n" + as_json(NUMBERS) + b"\r\n",
        as_json(NUMBERS, note='a "quoted" word'),
        b'{"samples":[' + b",".join([b"0", b"1", *[b"-2.5e-1"] * 138]) + b"]}",
    ],
)
def test_a_json_beat_may_carry_other_fields_and_blanks_around_it(value):
    beats, rejected = parse.parse(records([value]))
    assert not rejected
    assert len(beats) == 1


def test_float32_whose_bytes_begin_and_end_like_text_is_still_float32():
    raw = bytearray(FLOAT32)
    raw[0], raw[-1] = ord("{"), ord(" ")  # a blank at the end, a brace at the start, no brace at the end
    beats, rejected = parse.parse(records([bytes(raw)]))
    assert not rejected
    assert beats.samples[0].tobytes() == bytes(raw)


def test_an_empty_batch_has_no_beats():
    beats, rejected = parse.parse(records([]))
    assert len(beats) == 0
    assert beats.samples.shape == (0, 140)
    assert not rejected


# beats whose samples are all below MIN_AMPLITUDE are refused, as numbers in another byte order
SAMPLE = st.floats(-1e9, 1e9, width=32).filter(lambda sample: sample == 0 or abs(sample) >= MIN_AMPLITUDE)


@given(st.lists(SAMPLE, min_size=140, max_size=140))
def test_a_beat_is_the_same_as_float32_and_as_json(samples):
    wanted = np.array(samples, "<f4")
    beats, rejected = parse.parse(records([wanted.tobytes(), as_json([float(x) for x in wanted])]))
    assert not rejected
    assert beats.samples[0].tobytes() == wanted.tobytes()
    assert (beats.samples[1] == wanted).all()


junk = st.one_of(
    st.none(),
    st.binary(max_size=600),
    st.binary(min_size=560, max_size=560),
    st.text(max_size=80).map(str.encode),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=7), inner, max_size=3),
        max_leaves=6,
    ).map(as_json),
)


@given(st.lists(st.tuples(st.one_of(st.none(), st.binary(max_size=6)), junk), max_size=12))
def test_every_record_becomes_a_beat_or_a_refusal_and_never_both(rows):
    batch = records([value for _, value in rows], keys=[key for key, _ in rows])
    beats, rejected = parse.parse(batch)
    assert sorted([*beats.offset.tolist(), *(one.row for one in rejected)]) == list(range(len(rows)))
    assert np.isfinite(beats.samples).all()
    assert all(one.reason in parse.REASONS for one in rejected)


@given(st.lists(junk, min_size=1, max_size=6))
def test_a_verdict_does_not_depend_on_the_rest_of_the_batch(values):
    together = {one.row: one.reason for one in parse.parse(records(values))[1]}
    alone = [parse.parse(records([value]))[1] for value in values]
    assert together == {row: one[0].reason for row, one in enumerate(alone) if one}


def with_noise(*beats):
    """Records of (value, text of the header `noise`)."""
    values, texts = zip(*beats, strict=True)
    return replace(records(values), headers=tuple(() if text is None else (("noise", text),) for text in texts))


def test_the_noise_before_a_beat_comes_from_the_header_or_from_the_field_and_the_header_counts():
    given = with_noise(
        (FLOAT32, b"-4.5"), (FLOAT32, None), (b"junk", b"-4"), (as_json(NUMBERS, noise=-3.5), None),
        (as_json(NUMBERS, noise=-3.5), b"-4.5"), (as_json(NUMBERS, noise=-3), b"?"), (as_json(NUMBERS), None),
    )  # fmt: skip
    beats, _ = parse.parse(given, noise=True)
    assert np.array_equal(beats.noise, [-4.5, np.nan, -3.5, -4.5, -3, np.nan], equal_nan=True)
    assert beats.noise.dtype == np.float32


@pytest.mark.parametrize("noise", ["-3", None, True, [1], {"noise": 1}, 51, 1e300, 10**30, -math.pi * 100])
def test_a_field_that_is_no_noise_is_ignored(noise):
    beats, rejected = parse.parse(records([as_json(NUMBERS, noise=noise)]), noise=True)
    assert (np.isnan(beats.noise).tolist(), rejected) == ([True], [])


@pytest.mark.parametrize("before", ['"samples"[', "]", "[1]"])
def test_the_field_is_found_wherever_it_stands(before):
    text = b"\xef\xbb\xbf" + json.dumps({"x": before, "y": [before], "noise": -4, "samples": NUMBERS}).encode()
    assert parse.parse(records([text]), noise=True)[0].noise.tolist() == [-4]
    nested = json.dumps({"samples": NUMBERS, "x": [{"noise": -4}]}).encode()
    assert np.isnan(parse.parse(records([nested]), noise=True)[0].noise).all()


def test_without_being_asked_for_noise_no_header_is_looked_at():
    class Unreadable(UserList):
        def __getitem__(self, _row):
            raise AssertionError("a header was read")

    beats, _ = parse.parse(replace(records([FLOAT32]), headers=Unreadable([()])))
    assert np.isnan(beats.noise).tolist() == [True]
