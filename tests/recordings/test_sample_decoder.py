"""`SampleDecoder`: samples out of bytes, however these are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import RecordingError
from monitor.recordings.sample_decoder import decoder

NUMBERS = st.lists(st.integers(-32767, 32767), max_size=50)
CUTS = st.lists(st.integers(0, 400), max_size=8)


def written(form, numbers):
    if form == "text":
        return "".join(f"{number}\n" for number in numbers).encode()
    return np.array(numbers, "<i2" if form == "int16" else "<f4").tobytes()


def decoded(form, data, cuts=(), mv_per_unit=1.0):
    reader = decoder(form, mv_per_unit)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [reader.feed(data[start:end]) for start, end in pairwise(edges)]
    return np.concatenate([*pieces, reader.finish()])


@pytest.mark.parametrize("form", ["text", "int16", "float32"])
@given(numbers=NUMBERS, cuts=CUTS)
def test_samples_are_the_same_however_the_bytes_are_cut(form, numbers, cuts):
    assert decoded(form, written(form, numbers), cuts, 0.005) == pytest.approx([0.005 * one for one in numbers])


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("text", b"nan\n-1.5e-1\r\n\n 2 "),
        ("int16", np.array([-32768, -150, 2000], "<i2").tobytes()),
        ("float32", np.array([np.nan, -150, 2000], "<f4").tobytes()),
    ],
)
def test_invalid_samples_are_nan(form, data):
    factor = 1.0 if form == "text" else 0.001
    assert decoded(form, data, mv_per_unit=factor) == pytest.approx([np.nan, -0.15, 2.0], nan_ok=True)


@pytest.mark.parametrize(
    ("form", "data", "sentence"),
    [
        ("int16", bytes(7), "after 3 samples came 1 of 2 bytes"),
        ("float32", bytes(11), "after 2 samples came 3 of 4 bytes"),
        ("text", b"0.1\n0,2\n", "line 2 of standard input is '0,2'"),
        ("text", b"0.1\n\n0.1 0.2", "line 3 of standard input is '0.1 0.2'"),
        ("text", b"0.1\n\xff\xfe\x00", "line 2 of standard input is"),
        ("text", b"1\n" + b"1" * 300, "line 2 of standard input is longer than 256 bytes"),
    ],
)
def test_what_is_no_sample_is_named_with_its_place(form, data, sentence):
    with pytest.raises(RecordingError, match=sentence):
        decoded(form, data)


@given(data=st.binary(max_size=300), form=st.sampled_from(["text", "int16", "float32"]), cuts=CUTS)
def test_no_bytes_cause_another_error(data, form, cuts):
    try:
        samples = decoded(form, data, cuts)
    except RecordingError:
        return
    assert samples.dtype == np.float64
