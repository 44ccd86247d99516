"""Variable-length integers: as the Kafka client writes and reads them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kafka.record import util

from monitor.broker.varint import decode, decode_many, encode

numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300)
short = st.integers(-(2**62), 2**62 - 1) | st.integers(-300, 300)  # nine bytes at most


@given(numbers)
@example(2**63 - 1)
@example(-(2**63))
def test_a_number_is_written_as_the_client_writes_it(number):
    written = bytearray()
    util.encode_varint(number, written.append)
    assert encode(number) == bytes(written)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_of_more_than_64_bits_cannot_be_written(number):
    with pytest.raises(OverflowError, match="64 bits"):
        encode(number)


@given(st.lists(short, min_size=1, max_size=20))
@example([2**62 - 1, -(2**62), 0, -1])
def test_what_was_written_is_read_back_one_by_one_and_side_by_side(some):
    pieces = [encode(number) for number in some]
    raw, ends = b"".join(pieces), np.cumsum([len(piece) for piece in pieces])
    starts = np.concatenate(([0], ends[:-1]))
    assert [decode(raw, int(start)) for start in starts] == list(zip(some, ends.tolist(), strict=True))
    found, after = decode_many(np.frombuffer(raw, np.uint8), starts)
    assert (found.tolist(), after.tolist()) == (some, ends.tolist())


def test_more_than_nine_bytes_are_no_number():
    for number in (2**62, -(2**62) - 1, 2**63 - 1):
        raw = encode(number)
        assert len(raw) == 10
        with pytest.raises(ValueError, match="more than nine bytes"):
            decode(raw, 0)
        with pytest.raises(ValueError, match="more than nine bytes"):
            decode_many(np.frombuffer(raw, np.uint8), np.array([0]))


@given(short)
def test_bytes_that_end_too_early_raise(number):
    raw = encode(number)[:-1]
    with pytest.raises(IndexError):
        decode(raw, 0)
    with pytest.raises(IndexError):
        decode_many(np.frombuffer(raw, np.uint8), np.array([0]))
