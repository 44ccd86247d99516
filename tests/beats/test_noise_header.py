"""The header `noise`: written and read, and that one which is none is ignored."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.beats.noise_header import MAX_NOISE, noise_headers, noise_of

KNOWN = (("noise", b"-4.713"),)
texts = st.one_of(st.none(), st.binary(max_size=20), st.sampled_from([b"-4.713", b"1,2", b"[1]", b"", b" ", b"NaN"]))


@given(st.lists(st.floats(-MAX_NOISE, MAX_NOISE), max_size=20))
def test_what_is_written_is_read(noise):
    assert noise_of(map(noise_headers, noise)) == pytest.approx(noise, rel=1e-6, abs=0.000501)  # three decimals


def test_where_the_noise_is_not_known_there_is_no_header_and_without_one_it_is_not_known():
    assert noise_headers(math.nan) == ()
    assert np.isnan(noise_of([(), KNOWN, (("unit", b"mV"),)])).tolist() == [True, False, True]


def test_other_headers_do_not_matter_and_the_last_of_several_counts():
    several = (("noise", b"1"), ("annotation", b"V"), ("noise", b"-4.713"), ("replays", b"1"))
    assert noise_of([several]) == noise_of([KNOWN])


@pytest.mark.parametrize(
    "text",
    [
        *(None, b"", b" ", b"much", b"nan", b"inf", b"1e99", b"51", b"-4,713", b"[-4]", b"[", b"1]", b"{}", b'"1"'),
        *(b"true", b"null", b"-4.7 1", b"\xff", b"0" * 17, b"-4." + b"7" * 1000),
    ],
    ids=repr,
)
def test_a_text_that_is_no_noise_is_ignored_and_its_neighbours_stay(text):
    assert np.isnan(noise_of([(("noise", text),)])).all()
    assert noise_of([KNOWN, (("noise", text),), KNOWN])[[0, 2]] == pytest.approx([-4.713] * 2)


@given(st.lists(texts, max_size=12))
def test_what_one_record_says_does_not_depend_on_the_others(found):
    together = noise_of((("noise", text),) for text in found)
    alone = [noise_of([(("noise", text),)])[0] for text in found]
    assert np.array_equal(together, np.array(alone, np.float32), equal_nan=True)
