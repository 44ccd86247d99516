"""The headers of alerts, and the traces of beats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.cloud_event import traceparent_of

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_last_trace_of_a_record_counts():
    assert traceparent_of((("traceparent", b"0"), ("traceparent", TRACE), ("label", b"1"))) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        TRACE.upper(),
        TRACE + b"\n",
        TRACE + b"-more",
        TRACE[:-1],
        b"ff" + TRACE[2:],
        b"00-" + 32 * b"0" + TRACE[35:],
        TRACE[:36] + 16 * b"0" + b"-01",
    ],
)
def test_what_is_not_in_the_form_of_w3c_is_no_trace(text):
    assert traceparent_of((("traceparent", text),)) is None


@given(st.lists(st.tuples(st.text(max_size=12), st.none() | st.binary(max_size=80)), max_size=4))
def test_other_headers_are_no_traces(headers):
    found = traceparent_of(tuple(headers))
    assert found is None or len(found) == len(TRACE)
